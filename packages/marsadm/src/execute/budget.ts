import type { Clock } from '@mars/brick-core';

/**
 * The time that one run of marsadm may wait: starts with the first sleep and is shared by all waits, so that `--timeout=60` means a minute
 * for the whole command. Source: marsadm.md 6.1
 */
export class Budget {
  private leftMs: number;

  constructor(
    private readonly clock: Clock,
    /** -1 = for ever. */
    private readonly timeoutSeconds: number,
  ) {
    this.leftMs = this.fullMs;
  }

  /** Whole seconds that are left, as waiting commands show them; -1 = for ever. */
  get leftSeconds(): number {
    return this.timeoutSeconds < 0 ? -1 : Math.ceil(this.leftMs / 1000);
  }

  renew(): void {
    this.leftMs = this.fullMs;
  }

  /** @returns false when nothing is left to wait; then the next wait starts with a full budget */
  async sleep(ms: number): Promise<boolean> {
    if (this.leftMs <= 0) {
      this.renew();
      return false;
    }
    const slice = Math.min(ms, this.leftMs);
    await this.clock.sleep(slice);
    this.leftMs -= slice;
    return true;
  }

  private get fullMs(): number {
    return this.timeoutSeconds < 0 ? Infinity : this.timeoutSeconds * 1000;
  }
}
