import type { XioObject } from '@mars/brick-core';
import type { Page } from './volatile-layer.js';

/**
 * What this brick remembers about a request: of a consumer, or of its own. One class for both, because a pooled object plays
 * either part at different times.
 */
export class Aspect {
  /** Own write: the page it writes, and up to which byte of it. */
  page: Page | null = null;
  toByte = 0;

  /** Write: its number, and how many bytes of it are in the layer. */
  request = 0.5;
  absorbed = 0;
  /** Write with FUA: fragments that are not written back yet, and the error of one that could not be. */
  remaining = 0;
  err = 0;

  /** Flush, or a request that waits for the layer: everything up to this fragment must be written back first. */
  limit = 0.5;

  /** Read: when it went down, in which generation, and how much was asked for. */
  startedAt = 0.5;
  generation = 0;
  wantedLen = 0;

  /** Passed below without the FUA that the consumer asked for; a flush must follow. */
  owesFlush = false;
  /** It has been below already: the answer goes up with `done`, not with `finish`. */
  isOnItsWayUp = false;
}

export function aspectOf(o: XioObject, slot: number): Aspect {
  return (o.aspects[slot] ??= new Aspect()) as Aspect;
}
