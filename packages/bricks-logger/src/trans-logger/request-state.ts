import type { XioObject } from '@mars/brick-core';
import { MAX_LEN_BYTES, SECTOR_BYTES } from './limits.js';
import type { Region } from './memory-buffer.js';
import type { Stamp } from './stamps.js';

/** One bit per sector of a request. */
export function newCoverage(): Int32Array {
  return new Int32Array(MAX_LEN_BYTES / SECTOR_BYTES / 32);
}

/** A read that needs both memory and device. */
export class Mix {
  /** Sectors that stand in `block`. */
  readonly covered = newCoverage();
  /** Arena offset, -1 = none. */
  block = -1;
}

/** What the logger remembers of a request, a consumer's or its own, while it holds it. Nothing here outlives the answer. */
export class RequestState implements Stamp {
  /** Taken when the request entered, before it queued (transaction-log.md 1.3). */
  stampSec = 0.5;
  stampNsec = 0.5;
  /** Bytes of a write that are in the log's memory already. */
  taken = 0.5;
  /** How far the log must be; see `gate.ts`. */
  lsn = 0.5;
  enteredUs = 0.5;
  mix: Mix | null = null;
  /** What a write of the writeback belongs to. */
  region: Region | null = null;
}

export function stateOf(o: XioObject, slot: number): RequestState {
  return (o.aspects[slot] ??= new RequestState()) as RequestState;
}
