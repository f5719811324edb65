import { invariant } from '../invariant.js';

/** One range of bytes that somebody wants to change; lives in an aspect, so locking allocates nothing. */
export class Range {
  /** First byte, and the byte behind the last. */
  start = 0.5;
  end = 0.5;
  /** Read-modify-write: nobody else may change the range meanwhile. Otherwise shared: plain writes do not mind each other. */
  isExclusive = false;
  next: Range | null = null;
  prev: Range | null = null;
}

/**
 * Range locks in order of arrival: a range waits for every conflicting one that came before it, also for those that wait
 * themselves, so nobody is overtaken and nobody starves. Two ranges conflict when they overlap and one is exclusive.
 *
 * Plain lists: there are as many entries as requests in flight, and while nobody holds or wants an exclusive range (the
 * usual case) locking looks at none of them.
 */
export class RangeLocks {
  private active: Range | null = null;
  private exclusive = 0;
  private waitHead: Range | null = null;
  private waitTail: Range | null = null;

  /** @param granted called once for each range that had to wait, when its turn has come; it must not lock or unlock */
  constructor(private readonly granted: (range: Range) => void) {}

  /** Takes the range now, or lets it wait; then `granted` tells when. @returns true when it was taken at once */
  lock(range: Range): boolean {
    if (this.mayGo(range, null)) {
      this.activate(range);
      return true;
    }
    range.next = null;
    range.prev = this.waitTail;
    if (this.waitTail === null) this.waitHead = range;
    else this.waitTail.next = range;
    this.waitTail = range;
    return false;
  }

  unlock(range: Range): void {
    if (range.prev === null) {
      invariant(this.active === range, 'unlock() of a range that is not locked');
      this.active = range.next;
    } else range.prev.next = range.next;
    if (range.next !== null) range.next.prev = range.prev;
    range.next = range.prev = null;
    if (range.isExclusive) this.exclusive--;
    if (this.waitHead !== null) this.wakeUp();
  }

  get isIdle(): boolean {
    return this.active === null && this.waitHead === null;
  }

  private wakeUp(): void {
    let range = this.waitHead;
    while (range !== null) {
      // Taken now: the range moves to the other list when it is granted.
      const behind: Range | null = range.next;
      if (this.mayGo(range, range)) {
        this.unqueue(range);
        this.activate(range);
        this.granted(range);
      }
      range = behind;
    }
  }

  /** Whether nobody active, and nobody who waits in front of `until`, is in the way. */
  private mayGo(range: Range, until: Range | null): boolean {
    if (this.exclusive > 0 || range.isExclusive) {
      for (let other = this.active; other !== null; other = other.next) if (conflicts(range, other)) return false;
    }
    for (let other = this.waitHead; other !== until; other = other!.next) if (conflicts(range, other!)) return false;
    return true;
  }

  private activate(range: Range): void {
    range.prev = null;
    range.next = this.active;
    if (this.active !== null) this.active.prev = range;
    this.active = range;
    if (range.isExclusive) this.exclusive++;
  }

  private unqueue(range: Range): void {
    if (range.prev === null) this.waitHead = range.next;
    else range.prev.next = range.next;
    if (range.next === null) this.waitTail = range.prev;
    else range.next.prev = range.prev;
  }
}

function conflicts(a: Range, b: Range): boolean {
  return (a.isExclusive || b.isExclusive) && a.start < b.end && b.start < a.end;
}
