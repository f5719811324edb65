import { StackJob, type JobHouse } from './stack-job.js';
import { EXPORT_IDLE_MS } from './limits.js';

interface Export {
  job: StackJob;
  usedUs: number;
}

/** What other members may use of this host: opened when somebody asks, closed when nobody has used it for a while. */
export class Exports {
  private readonly open = new Map<string, Export>();

  constructor(
    private readonly house: JobHouse,
    /** Path of what has this name; null = nothing that others may have. */
    private readonly pathOf: (name: string) => { resource: string; path: string } | null,
  ) {}

  /** Resolves when the export is there, or cannot be. @returns why it cannot; null = it is there */
  async want(name: string): Promise<string | null> {
    const known = this.open.get(name);
    if (known !== undefined && known.job.failure === null && !known.job.isClosed) {
      known.usedUs = this.house.loop.nowUs;
      return this.whenOn(name, known.job);
    }
    const found = this.pathOf(name);
    if (found === null) return `this host exports nothing called "${name}"`;
    const { resource, path } = found;
    const vars = { path, export: name };
    const job = new StackJob(this.house, { template: 'resource-export', resource, vars, inThread: false });
    this.open.set(name, { job, usedUs: this.house.loop.nowUs });
    return this.whenOn(name, job);
  }

  private async whenOn(name: string, job: StackJob): Promise<string | null> {
    for (let waitMs = 10; !job.isOn && job.failure === null && waitMs < 2_000; waitMs *= 2)
      await this.house.loop.sleep(waitMs);
    if (job.isOn) return null;
    if (this.open.get(name)?.job === job) this.open.delete(name);
    await job.close();
    return job.failure ?? 'the export did not come up in time';
  }

  /** Closes what nobody uses, and what must not be there any more. */
  tidy(): void {
    const { nowUs } = this.house.loop;
    for (const [name, each] of this.open) {
      if (Number(each.job.fact('server', 'clients') ?? 0) > 0) each.usedUs = nowUs;
      const isIdle = nowUs - each.usedUs >= EXPORT_IDLE_MS * 1000;
      if (!isIdle && each.job.failure === null && this.pathOf(name) !== null) continue;
      this.open.delete(name);
      void each.job.close();
    }
  }

  async close(): Promise<void> {
    const all = [...this.open.values()];
    this.open.clear();
    await Promise.all(all.map(({ job }) => job.close()));
  }
}
