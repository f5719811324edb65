import { ImmediateDriver } from '@mars/platform';

/** Real time since it was made, exact also while no loop of this thread turns (whose `nowUs` stands still then). */
export class Stopwatch {
  private readonly driver = new ImmediateDriver();
  private readonly now = new Float64Array(1);
  private readonly startUs = this.sample();

  get elapsedMs(): number {
    return (this.sample() - this.startUs) / 1000;
  }

  private sample(): number {
    this.driver.sample(this.now);
    return this.now[0]!;
  }
}
