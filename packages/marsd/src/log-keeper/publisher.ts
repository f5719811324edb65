import { causeText, type Logger } from '@mars/brick-core';
import type { LogDirectory, LogProgress } from './log-directory.js';

/** Writes what a logger publishes into the links of its directory: in order, one after the other, only the newest of each log. */
export class Publisher {
  private readonly waiting: LogProgress[] = [];
  private working: Promise<void> | null = null;
  private isComplaining = false;

  constructor(
    private readonly dir: LogDirectory,
    private readonly log: Logger,
    private readonly published: () => void,
  ) {}

  push(progress: LogProgress): void {
    const last = this.waiting.at(-1);
    if (last?.log.sequence === progress.log.sequence) this.waiting[this.waiting.length - 1] = progress;
    else this.waiting.push(progress);
    this.working ??= this.work();
  }

  /** Resolves when everything that was pushed stands in the links. */
  async idle(): Promise<void> {
    while (this.working !== null) await this.working;
  }

  private async work(): Promise<void> {
    // One turn later: facts that belong together arrive one after the other.
    await Promise.resolve();
    for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) await this.write(next);
    this.working = null;
    this.published();
  }

  /** A position that is behind does no harm, so a failed publication only waits for the next one. */
  private async write(progress: LogProgress): Promise<void> {
    try {
      await this.dir.publish(progress);
      this.isComplaining = false;
    } catch (error) {
      if (!this.isComplaining)
        this.log.error(
          { dir: this.dir.path, reason: causeText(error), hint: 'Look at the file system of the logs.' },
          'the replay position cannot be published: recovery would begin earlier than it has to',
        );
      this.isComplaining = true;
    }
  }
}
