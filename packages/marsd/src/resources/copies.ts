import type { LogName } from '@mars/mars-tree';
import type { CopyFacts, CopyOrder } from '@mars/strategy';
import type { VarValues } from '@mars/stack';
import { StackJob, type JobHouse } from './stack-job.js';

/** How long requests may still wait for a peer when the copy is to end. */
const GIVE_UP = '50ms';

/** A fetch or a sync, as long as it is wanted: opened, given later ends, closed. */
export class CopyJob {
  private job: StackJob | null = null;
  private order: CopyOrder | null = null;
  private endBytes = 0;
  private closing: Promise<void> | null = null;

  constructor(
    private readonly house: JobHouse,
    private readonly template: string,
    private readonly resource: string,
  ) {}

  get facts(): CopyFacts | null {
    const { job, order } = this;
    if (job === null || order === null) return null;
    return {
      peer: order.peer,
      log: order.log,
      copiedBytes: Number(job.fact('copy', 'copied') ?? order.fromBytes),
      endBytes: this.endBytes,
      phase: String(job.fact('copy', 'phase') ?? 'starting'),
      error: job.failure ?? String(job.fact('copy', 'error') ?? ''),
    };
  }

  /** `SAME,DIFFERENT` blocks. */
  get verify(): string {
    return String(this.job?.fact('copy', 'verify') ?? '0,0');
  }

  get rateBytes(): number {
    return Number(this.job?.fact('copy', 'rate') ?? 0);
  }

  get isOpen(): boolean {
    return this.job !== null;
  }

  get hasFailed(): boolean {
    return this.job?.failure != null;
  }

  /** Makes it be what the order says; `null` = nothing. Something else is closed first, and opened in a later round. */
  follow(order: CopyOrder | null, vars: (order: CopyOrder) => VarValues | null): void {
    const { job } = this;
    if (job === null) {
      const values = order === null ? null : vars(order);
      if (order !== null && values !== null) this.open(order, values);
      return;
    }
    if (order === null || this.hasFailed || !isSameSource(order, this.order!)) return void this.close();
    if (order.toBytes <= this.endBytes) return;
    this.endBytes = order.toBytes;
    void job.setParam('copy', 'end', order.toBytes);
  }

  close(): Promise<void> {
    if (this.job === null) return Promise.resolve();
    // What waits for a peer that does not answer must not keep us from ending.
    void this.job.setParam('remote', 'ioTimeout', GIVE_UP);
    this.closing ??= this.job.close().then(() => {
      this.job = null;
      this.order = null;
      this.closing = null;
      this.house.changed();
    });
    return this.closing;
  }

  private open(order: CopyOrder, vars: VarValues): void {
    this.order = order;
    this.endBytes = order.toBytes;
    const { template, resource } = this;
    this.job = new StackJob(this.house, { template, resource, vars, inThread: false });
  }
}

function isSameSource(one: CopyOrder, other: CopyOrder): boolean {
  return one.peer === other.peer && isSameLog(one.log, other.log);
}

function isSameLog(one: LogName | null, other: LogName | null): boolean {
  return one === other || (one?.sequence === other?.sequence && one?.host === other?.host);
}
