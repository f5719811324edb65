import type { InjectionToken } from '../di.js';

/** Where a listener listens or a stream goes. */
export type NetAddress = { host: string; port: number } | { path: string };

/** One ordered byte stream (TCP, unix socket, or a simulated link). */
export interface NetStream {
  readonly remote: string;
  /** Takes the bytes (yours again at once); returns false when the peer does not keep up: wait for `onDrain`. */
  write(bytes: Uint8Array): boolean;
  /** Half-close after everything written has left. */
  end(): void;
  /** Close now; the other side sees a reset or an end. */
  destroy(error?: Error): void;
  onData(handler: (bytes: Uint8Array) => void): void;
  onDrain(handler: () => void): void;
  /** Exactly once; `error` when it was not a clean end. */
  onClose(handler: (error?: Error) => void): void;
  pause(): void;
  resume(): void;
}

export interface NetListener {
  readonly address: NetAddress;
  close(): Promise<void>;
}

/** Byte streams between hosts, for everything that is not a ring socket. */
export interface Net {
  connect(address: NetAddress, options?: { timeoutMs?: number; signal?: AbortSignal }): Promise<NetStream>;
  listen(address: NetAddress, accept: (stream: NetStream) => void): Promise<NetListener>;
}

export const NET: InjectionToken<Net> = Symbol('brick-core/Net');
