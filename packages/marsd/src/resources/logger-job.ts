import type { LogName } from '@mars/mars-tree';
import type { LoggerFacts } from '@mars/strategy';
import type { ResourceLogs } from './resource-logs.js';
import { StackJob, type JobHouse } from './stack-job.js';

/** What the logger has said about its position. */
export interface LoggerPosition {
  log: LogName;
  posBytes: number;
  dirtyBytes: number;
  /** Durable length of the log as far as it is known. */
  lengthBytes: number;
}

interface Orders {
  disk: string;
  /** Agreed size of the device, bytes. */
  size: number;
  name: string;
  socket: string;
}

/** The logger of a resource at work: it replays one log, or it logs for the device. */
export class LoggerJob {
  private constructor(
    readonly job: StackJob,
    private readonly logs: ResourceLogs,
    private readonly replay: { log: LogName; fromPos: number; toPos: number; sizeBytes: number } | null,
    private open: readonly LogName[],
    private readonly orders: Orders | null,
  ) {}

  static replay(
    house: JobHouse,
    resource: string,
    disk: string,
    logs: ResourceLogs,
    step: { log: LogName; fromPos: number; toPos: number },
  ): LoggerJob {
    const { log, fromPos, toPos } = step;
    const vars = { disk, logs: items(logs, [log]), start: fromPos, end: toPos };
    const job = new StackJob(house, { template: 'resource-replay', resource, vars, inThread: false });
    return new LoggerJob(job, logs, { ...step, sizeBytes: logs.durableBytes(log) ?? toPos }, [log], null);
  }

  static logging(house: JobHouse, resource: string, logs: ResourceLogs, log: LogName, orders: Orders): LoggerJob {
    const vars = { ...orders, logs: items(logs, [log]) };
    const job = new StackJob(house, { template: 'resource-primary', resource, vars, inThread: true });
    return new LoggerJob(job, logs, null, [log], orders);
  }

  get isLogging(): boolean {
    return this.replay === null;
  }

  get isOn(): boolean {
    return this.job.isOn;
  }

  get openCount(): number {
    return Number(this.job.fact('front', 'openCount') ?? 0);
  }

  get facts(): LoggerFacts {
    const { failure } = this.job;
    if (this.replay !== null) {
      const { log, fromPos, toPos } = this.replay;
      const code = Number(String(this.job.fact('logger', 'replay-code') ?? '0').split(',')[0]);
      return { mode: 'replay', log, fromPos, toPos, pos: this.position?.posBytes ?? fromPos, code, failure };
    }
    const [sequence, , writtenBytes] = this.job.numbers('logger', 'log');
    return {
      mode: 'logging',
      logs: this.open,
      isOn: this.job.isOn,
      publishedSequence: this.position?.log.sequence ?? 0,
      writtenBytes: sequence === this.open.at(-1)?.sequence ? (writtenBytes ?? 0) : 0,
      failure,
    };
  }

  /** Text of the replay code: `-74,-10101`. */
  get codeText(): string {
    return String(this.job.fact('logger', 'replay-code') ?? '0');
  }

  get position(): LoggerPosition | null {
    const [sequence, posBytes, dirtyBytes] = this.job.numbers('logger', 'replay');
    const { replay } = this;
    const log = [...this.open, ...(replay === null ? [] : [replay.log])].find((one) => one.sequence === sequence);
    if (log === undefined || posBytes === undefined) return null;
    if (replay !== null)
      return { log, posBytes, dirtyBytes: dirtyBytes ?? 0, lengthBytes: Math.max(replay.sizeBytes, posBytes) };
    const known = this.logs.durableBytes(log) ?? 0;
    return { log, posBytes, dirtyBytes: dirtyBytes ?? 0, lengthBytes: Math.max(known, posBytes) };
  }

  /** Durable ends that the logger has published; also of a log that it has left. */
  noteDurable(): LogName | null {
    const [sequence, durableBytes] = this.job.numbers('logger', 'log');
    const log = this.open.find((one) => one.sequence === sequence);
    if (this.replay !== null || log === undefined || durableBytes === undefined) return null;
    return this.logs.note(log, durableBytes) ? log : null;
  }

  /** Logging: opens another log beside the present one, closes the one that has drained; the device grows. */
  async follow(wanted: readonly LogName[], sizeBytes: number): Promise<void> {
    const { orders } = this;
    if (orders === null || (names(wanted) === names(this.open) && sizeBytes === orders.size)) return;
    this.open = wanted;
    orders.size = sizeBytes;
    await this.job.apply({ ...orders, logs: items(this.logs, wanted) });
  }

  close(): Promise<void> {
    return this.job.close();
  }
}

function items(logs: ResourceLogs, names: readonly LogName[]): { key: string; path: string }[] {
  return names.map((log) => ({ key: String(log.sequence), path: logs.pathOf(log) }));
}

function names(logs: readonly LogName[]): string {
  return logs.map(({ sequence, host }) => `${sequence}-${host}`).join(' ');
}
