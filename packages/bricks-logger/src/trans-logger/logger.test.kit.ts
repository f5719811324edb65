import {
  Arena,
  Brick,
  CAP_GROW,
  CAP_TRIM,
  DebugArena,
  Loop,
  OP_READ,
  OP_WRITE,
  SUPPORT_NONE,
  SUPPORT_NATIVE,
  composeServices,
  container,
  createRandom,
  type XioInfo,
  type XioObject,
} from '@mars/brick-core';
import { MemoryDisk, Sink, StackKit, VirtualDriver, type HostParts, type KitOptions } from '@mars/brick-core/testing';
import { TransLoggerBrick } from './trans-logger.js';

/** A logfile in memory: grows, and keeps apart what a power cut would leave. */
@Brick({ type: 'test-log', about: 'Growing file of the test kit.', ops: 'all', params: MemoryLogParams() })
export class MemoryLog extends MemoryDisk {
  /** End of the last write that was sent. */
  sizeBytes = 0;

  override info(into: XioInfo): number {
    super.info(into);
    into.size = this.sizeBytes;
    into.caps = (into.caps | CAP_GROW) & ~CAP_TRIM;
    into.zero = SUPPORT_NONE;
    return 0;
  }

  override io(o: XioObject): void {
    const end = o.pos + o.len;
    if (o.op === OP_WRITE && end > this.store.length) {
      this.store = grown(this.store, end);
      this.durable = grown(this.durable, end);
    }
    if (o.op === OP_WRITE) this.sizeBytes = Math.max(this.sizeBytes, end);
    // A read at the end of a file is short.
    if (o.op === OP_READ) o.len = Math.max(0, Math.min(o.len, this.sizeBytes - o.pos));
    super.io(o);
  }

  /** The file as an earlier run has left it. */
  load(bytes: Uint8Array): void {
    this.store = new Uint8Array(bytes);
    this.durable = new Uint8Array(bytes);
    this.sizeBytes = bytes.length;
  }

  /** What stands in the file. */
  get bytes(): Uint8Array {
    return this.store.subarray(0, this.sizeBytes);
  }
}

function MemoryLogParams() {
  return {
    properties: {
      size: { unit: 'bytes', default: 0 },
      align: { unit: 'bytes', default: 1 },
      maxLen: { unit: 'bytes', default: '4M' },
      fua: { type: 'integer', default: SUPPORT_NATIVE },
      zero: { type: 'integer', default: SUPPORT_NONE },
    },
  } as const;
}

function grown(bytes: Uint8Array, end: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.max(2 * bytes.length, end));
  larger.set(bytes);
  return larger;
}

/** Without the poison of the debug arena, which allocates views for every block. */
class QuietArena extends DebugArena {
  override alloc(bytes: number): number {
    return Arena.prototype.alloc.call(this, bytes);
  }

  override release(offset: number): void {
    Arena.prototype.release.call(this, offset);
  }
}

/** A host to measure JavaScript memory on. */
export async function quietHost(): Promise<HostParts> {
  const clock = new VirtualDriver();
  const arena = new QuietArena(new ArrayBuffer(16 * 2 ** 20));
  const loop = new Loop(clock, arena, 256);
  return {
    loop,
    arena,
    container: composeServices(container.createChildContainer(), { loop, random: createRandom(1) }),
    runFor: async (ms) => clock.advanceMs(ms),
    settle: (promise) => clock.settle(promise),
  };
}

/** A log that keeps nothing, so that what is measured is the logger. */
@Brick({ type: 'test-log-sink', about: 'Growing file that keeps nothing.', ops: 'all' })
export class LogSink extends Sink {
  override info(into: XioInfo): number {
    super.info(into);
    into.size = 0;
    into.caps |= CAP_GROW;
    into.maxLen = 2 ** 22;
    return 0;
  }
}

/** A logger over a memory disk and a growing log: `disk`, `log:1`, `log:2` … */
export class LoggerKit extends StackKit {
  constructor(
    readonly params: Record<string, unknown> = {},
    options: KitOptions = {},
    /** Parameters of the log, and `type` when it is another one. */
    readonly logParams: Record<string, unknown> = {},
  ) {
    const { type = 'test-log', ...logValues } = logParams;
    super(
      'trans-logger',
      (graph, disk) => {
        graph.add('logger', 'trans-logger', params);
        graph.add('log:1', type as string, logValues);
        graph.connect({ consumer: 'logger', input: 'data', nr: 0 }, disk);
        graph.connect({ consumer: 'logger', input: 'log', nr: 0 }, 'log:1');
        return 'logger';
      },
      {
        ...options,
        bricks: [TransLoggerBrick, MemoryLog, LogSink, ...(options.bricks ?? [])],
      },
    );
  }

  override clone(): LoggerKit {
    return new LoggerKit(this.params, this.options, this.logParams);
  }

  get logger(): TransLoggerBrick {
    return this.graph.get('logger') as TransLoggerBrick;
  }

  log(serial = 1): MemoryLog {
    return this.graph.get(`log:${serial}`) as MemoryLog;
  }

  fact(name: string): string | number | boolean | undefined {
    return this.logger.stats.fact(name);
  }

  counter(name: string): number {
    return this.logger.stats.counter(name).n;
  }

  /** Wires a fresh log to the free slot; the logger rotates into it. */
  async rotate(serial: number, nr: number): Promise<MemoryLog> {
    this.graph.add(`log:${serial}`, 'test-log');
    await this.settle(this.graph.press(`log:${serial}`));
    this.graph.connect({ consumer: 'logger', input: 'log', nr }, `log:${serial}`);
    this.run();
    return this.log(serial);
  }
}

export function useLoggerKit(params: Record<string, unknown> = {}, options: KitOptions = {}): LoggerKit {
  const kit = new LoggerKit(params, options);
  beforeEach(() => kit.open());
  afterEach(() => kit.close());
  return kit;
}
