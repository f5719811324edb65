/** Lines of one message that pass in one window. */
export const REPEATS_PER_WINDOW = 10;
/** A window, ms. */
export const REPEAT_WINDOW_MS = 10_000;
/** Messages that are remembered; messages are constants (style.md 10), so there are not many. */
const MESSAGES_MAX = 512;

interface Seen {
  startMs: number;
  count: number;
}

/** Lets the first few lines of a message through and then counts, until the window is over. */
export class RepeatFilter {
  private readonly seen = new Map<string, Seen>();

  /** @returns -1 = drop this line; else how many lines of this message were dropped before it */
  admit(message: string, nowMs: number): number {
    const seen = this.seen.get(message);
    if (seen === undefined || nowMs - seen.startMs >= REPEAT_WINDOW_MS) {
      this.remember(message, nowMs);
      return Math.max(0, (seen?.count ?? 0) - REPEATS_PER_WINDOW);
    }
    return ++seen.count > REPEATS_PER_WINDOW ? -1 : 0;
  }

  private remember(message: string, nowMs: number): void {
    this.seen.delete(message);
    // Maps keep the order of insertion: the first key is the oldest window.
    if (this.seen.size >= MESSAGES_MAX) this.seen.delete(this.seen.keys().next().value!);
    this.seen.set(message, { startMs: nowMs, count: 1 });
  }
}
