import { Arena, Loop } from '@mars/brick-core';
import { ImmediateDriver } from '@mars/platform';

/** Payload memory of a loop that never sees a request, bytes; the smallest that an arena can have. */
const NO_PAYLOAD_BYTES = 1024 * 1024;

/** Real time for what people look at, apart from the clock of the stack (which may be a simulated one). */
export class UiClock {
  private readonly driver = new ImmediateDriver();
  private readonly loop = new Loop(this.driver, new Arena(new ArrayBuffer(NO_PAYLOAD_BYTES)), 1);
  private isStopped = false;
  private readonly startUs = this.loop.nowUs;

  get elapsedMs(): number {
    return (this.loop.nowUs - this.startUs) / 1000;
  }

  /** Calls `show` again and again, one call at a time, until {@link stop}. */
  async every(ms: number, show: () => Promise<void>): Promise<void> {
    while (!this.isStopped) {
      await this.loop.sleep(ms);
      if (!this.isStopped) await show();
    }
  }

  stop(): void {
    this.isStopped = true;
    this.driver.close();
  }
}
