import {
  Brick,
  CLOCK,
  ErrorCode,
  FilterBrick,
  MarsError,
  OP_READ,
  PRIO_LOW,
  inject,
  RequestQueue,
  type Clock,
  type Counter,
  type DependencyContainer,
  type Histogram,
  type ParamsSchema,
  type XioObject,
} from '@mars/brick-core';
import { Limiter, RATE_NAMES, THROTTLE_GROUPS, ThrottleGroups, type Lane, type Rates } from './limiter.js';

const throttleParams: ParamsSchema = {
  properties: {
    bytesPerSec: { unit: 'bytes/s', default: 0, about: 'data read and written; 0 = not limited' },
    opsPerSec: { type: 'number', default: 0, minimum: 0, about: 'reads, writes, trims and zeroes; 0 = not limited' },
    readBytesPerSec: { unit: 'bytes/s', default: 0, about: 'data read' },
    readOpsPerSec: { type: 'number', default: 0, minimum: 0, about: 'reads' },
    writeBytesPerSec: { unit: 'bytes/s', default: 0, about: 'data written' },
    writeOpsPerSec: { type: 'number', default: 0, minimum: 0, about: 'writes, trims and zeroes' },
    burst: { unit: 'ms', default: '1s', about: 'after a pause, that much of the rate may come at once' },
    group: { type: 'string', default: '', about: 'throttles of one host with the same name share their limits' },
    applyTo: {
      type: 'string',
      enum: ['foreground', 'background', 'all'],
      default: 'all',
      about: 'background: only requests of low priority (sync, copy); foreground: all others',
    },
  },
};

/** Requests of one direction that wait in one throttle. */
class WaitingLane implements Lane {
  readonly queue = new RequestQueue();

  constructor(private readonly pass: (o: XioObject) => void) {}

  get oldest(): XioObject | null {
    return this.queue.peek();
  }

  passOldest(): void {
    this.pass(this.queue.shift()!);
  }
}

/**
 * Limits rates by token buckets. Reads keep their order, and so does everything else; reads and writes do not wait for each
 * other, unless they share a limit.
 */
@Brick({
  type: 'throttle',
  about: 'Limits bytes and operations per second, alone or in a group.',
  inputs: { next: {} },
  ops: ['read', 'write', 'flush', 'trim', 'zero', 'extents', 'cache'],
  params: throttleParams,
  live: [...RATE_NAMES, 'applyTo'],
})
export class ThrottleBrick extends FilterBrick {
  private limiter!: Limiter;
  private readonly letGo = (o: XioObject): void => this.pass(o);
  private readonly reads = new WaitingLane(this.letGo);
  private readonly others = new WaitingLane(this.letGo);
  private applyTo = 'all';
  private sinceUs!: Float64Array;
  private throttled!: Counter;
  private waitUs!: Histogram;

  constructor(
    @inject(CLOCK) private readonly clock: Clock,
    @inject(THROTTLE_GROUPS, { isOptional: true }) private readonly groups: ThrottleGroups | undefined,
  ) {
    super();
  }

  protected override attached(): void {
    const { ctx } = this;
    this.throttled = ctx.counter('throttled');
    this.waitUs = ctx.histogram('wait_us');
    this.sinceUs = new Float64Array(ctx.pool.size);
    this.applyTo = ctx.params.applyTo as string;
    this.limiter = this.chooseLimiter(ctx.params.group as string);
    this.limiter.join(this.reads);
    this.limiter.join(this.others);
    this.limiter.configure(ctx.params as unknown as Rates);
  }

  /** Nobody waits longer than needed for a brick that is to go. */
  protected override draining(): void {
    for (const lane of [this.reads, this.others]) while (lane.oldest !== null) lane.passOldest();
  }

  protected override detached(): void {
    this.limiter.leave(this.reads);
    this.limiter.leave(this.others);
    if (this.ctx.params.group !== '') this.groups!.leave(this.ctx.params.group as string);
  }

  protected override liveParam(name: string, value: unknown): void {
    if (name === 'applyTo') this.applyTo = value as string;
    else this.limiter.configure(this.ctx.params as unknown as Rates);
  }

  override get busy(): boolean {
    return super.busy || this.reads.oldest !== null || this.others.oldest !== null;
  }

  override io(o: XioObject): void {
    if (!this.isConcerned(o)) return this.next.io(o);
    const lane = o.op === OP_READ ? this.reads : this.others;
    if (lane.oldest === null && this.limiter.mayPass(o)) return this.next.io(o);
    this.throttled.n++;
    this.sinceUs[o.slot] = this.ctx.loop.nowUs;
    lane.queue.push(o);
    if (lane.oldest === o) this.limiter.arm();
  }

  private pass(o: XioObject): void {
    this.waitUs.add(this.ctx.loop.nowUs - this.sinceUs[o.slot]!);
    this.next.io(o);
  }

  private isConcerned(o: XioObject): boolean {
    if (this.applyTo === 'all') return true;
    return o.prio >= PRIO_LOW === (this.applyTo === 'background');
  }

  private chooseLimiter(group: string): Limiter {
    if (group === '') return new Limiter(this.clock);
    if (this.groups !== undefined) return this.groups.join(group, this.clock);
    throw new MarsError(ErrorCode.BAD_PARAMETER, `throttle "${this.ctx.name}": groups are not available on this host`, {
      hint: 'Leave "group" out; whoever embeds the bricks calls registerCheckServices() to make groups available.',
    });
  }
}

/** Services that bricks of this package share within one host. Called by composition roots, once per host. */
export function registerCheckServices(host: DependencyContainer): void {
  host.register(THROTTLE_GROUPS, { useValue: new ThrottleGroups() });
}
