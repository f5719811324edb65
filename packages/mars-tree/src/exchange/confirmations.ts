import { CONFIRM_AGE_MS } from './limits.js';

/**
 * Until when a peer is known to have had everything of ours. All times are those of our monotonic clock: stamps and system clocks jump, and a
 * tombstone that arrives late may have an old stamp.
 *
 * A confirmation of this moment must not decide about tombstones: the peer could lose in a power cut what it has merged. So it counts when it
 * has become a minute old.
 */
export class Confirmations {
  /** The peer had everything that stood here at this time, when it last said so, ms; null = never since it started. */
  latestMs: number | null = null;
  private agedMs: number | null = null;
  private candidate: { hadMs: number; saidMs: number } | null = null;

  /** @param hadMs when its comparison began @param nowMs when it was over */
  confirmed(hadMs: number, nowMs: number): void {
    this.latestMs = hadMs;
    this.ripen(nowMs);
    this.candidate ??= { hadMs, saidMs: nowMs };
  }

  /** The peer was started anew, and may have lost what it merged last. */
  forgetRecent(): void {
    this.latestMs = null;
    this.candidate = null;
  }

  /** The peer had, and will not lose any more, everything that stood here at this time, ms; null = not known. */
  aged(nowMs: number): number | null {
    this.ripen(nowMs);
    return this.agedMs;
  }

  private ripen(nowMs: number): void {
    if (this.candidate === null || nowMs - this.candidate.saidMs < CONFIRM_AGE_MS) return;
    this.agedMs = this.candidate.hadMs;
    this.candidate = null;
  }
}
