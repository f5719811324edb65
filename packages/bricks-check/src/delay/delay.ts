import {
  Brick,
  CLOCK,
  FilterBrick,
  OP_FLUSH,
  OP_READ,
  OP_TRIM,
  OP_WRITE,
  OP_ZERO,
  createRandom,
  inject,
  RequestQueue,
  type Clock,
  type ParamSchema,
  type SeededRandom,
  type XioObject,
} from '@mars/brick-core';

/** The held requests of one latency parameter. */
class Lane extends RequestQueue {
  latencyMs = 0;
  /** When the youngest of them may go, loop time; nobody goes before somebody older. */
  dueUs = 0.5;
}

/** Which parameter delays which operation; all others pass at once. */
const LANES = { read: [OP_READ], write: [OP_WRITE], flush: [OP_FLUSH], trim: [OP_TRIM, OP_ZERO] } as const;

const latency = (about: string): ParamSchema => ({ unit: 'ms', default: 0, minimum: 0, about });

/**
 * Holds each request for the latency of its operation, then passes it on; use it to imitate slow storage or to widen a race.
 *
 * Requests of one lane keep their order, whatever the jitter. Lanes overtake each other: reads and flushes pass held writes.
 * That is legal: a flush covers only writes that were answered before it, and a held write is not answered.
 */
@Brick({
  type: 'delay',
  about: 'Adds latency per operation.',
  inputs: { next: {} },
  ops: 'all',
  params: {
    properties: {
      read: latency('how long reads are held'),
      write: latency('how long writes are held'),
      flush: latency('how long flushes are held'),
      trim: latency('how long trims and zeroes are held'),
      jitter: latency('up to that much longer, at random; only where there is a latency'),
      seed: { type: 'integer', default: 1, about: 'of the jitter' },
    },
  },
  live: ['read', 'write', 'flush', 'trim', 'jitter'],
})
export class DelayBrick extends FilterBrick {
  private readonly lanes: (Lane | undefined)[] = []; // index = operation
  private jitterMs = 0;
  private random!: SeededRandom;

  constructor(@inject(CLOCK) private readonly clock: Clock) {
    super();
  }

  protected override attached(): void {
    this.random = createRandom(this.ctx.params.seed as number);
    for (const ops of Object.values(LANES)) {
      const lane = new Lane();
      for (const op of ops) this.lanes[op] = lane;
    }
    this.liveParam();
  }

  protected override liveParam(): void {
    const { params } = this.ctx; // '20ms' in YAML, milliseconds here
    for (const [name, [op]] of Object.entries(LANES)) this.lanes[op]!.latencyMs = params[name] as number;
    this.jitterMs = params.jitter as number;
  }

  override io(o: XioObject): void {
    const lane = this.lanes[o.op];
    if (lane === undefined || (lane.latencyMs === 0 && lane.isEmpty)) this.next.io(o);
    else this.hold(o, lane);
  }

  private hold(o: XioObject, lane: Lane): void {
    const { nowUs } = this.clock;
    const jitterMs = this.jitterMs > 0 ? this.random.float() * this.jitterMs : 0;
    lane.dueUs = Math.max(lane.dueUs, nowUs + (lane.latencyMs + jitterMs) * 1000);
    lane.push(o);
    // Whichever timer fires releases the oldest, so that order does not hang on the last bit of a sum of doubles.
    this.clock.after((lane.dueUs - nowUs) / 1000, lane, this.passOldest);
  }

  // One closure per brick, none per request. No push(): the answer goes up past us, it is none of our business.
  private readonly passOldest = (lane: Lane): void => this.next.io(lane.shift()!);
}
