import type { Clock, Logger } from '@mars/brick-core';
import { MAX_REMEMBERED_REFUSALS, REFUSAL_LOG_INTERVAL_MS } from '../limits.js';
import type { RefusalReason } from '../trust/types.js';
import type { RefusalCounts } from './types.js';

interface Remembered {
  loggedUs: number;
  repeats: number;
}

/** Counts who was not let in, and logs each kind and address once an hour: somebody who knocks all day must not fill the disk. */
export class Refusals {
  readonly counts: RefusalCounts = {};
  private readonly remembered = new Map<string, Remembered>();

  constructor(
    private readonly clock: Clock,
    private readonly log: Logger,
  ) {}

  /** @param remote address without port; @param host who it says to be, if it said anything */
  note(reason: RefusalReason, remote: string, text: string, host = ''): void {
    this.counts[reason] = (this.counts[reason] ?? 0) + 1;
    const key = `${reason} ${remote} ${host}`;
    const before = this.remembered.get(key);
    const { nowUs } = this.clock;
    if (before !== undefined && nowUs - before.loggedUs < REFUSAL_LOG_INTERVAL_MS * 1000) return void before.repeats++;
    this.remembered.delete(key); // so that the oldest is first
    if (this.remembered.size >= MAX_REMEMBERED_REFUSALS) this.forgetOldest();
    this.remembered.set(key, { loggedUs: nowUs, repeats: 0 });
    const repeats = before?.repeats ?? 0;
    this.log.warn({ reason, remote, host, text, repeats }, 'connection refused');
  }

  private forgetOldest(): void {
    for (const key of this.remembered.keys()) {
      this.remembered.delete(key);
      return;
    }
  }
}
