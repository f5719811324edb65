import type { XioInfo } from '../request/info.js';
import type { XioObject } from '../request/xio-object.js';

/** What a provider offers on one output. Source: decided.md, *The request contract*. */
export interface XioOutput {
  /** Fills `into`; 0 or a negative errno. Cold path. */
  info(into: XioInfo): number;
  /** Starts the request. Never throws, never waits, never allocates; answers exactly once through `loop.finish`. */
  io(o: XioObject): void;
}

/** What a consumer sees of the brick below. */
export interface XioInput extends XioOutput {
  readonly name: string;
  readonly connected: boolean;
  /** Requests between `io` and completion through this wire. */
  readonly held: number;
  /** The provider's last answer to `info`. */
  readonly cached: Readonly<XioInfo>;
}
