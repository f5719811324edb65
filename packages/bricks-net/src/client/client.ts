import {
  Brick,
  BrickBase,
  CAP_REMOTE,
  EIO,
  ETIME,
  ErrorCode,
  MarsError,
  OP_FLUSH,
  OP_TRIM,
  OP_WRITE,
  OP_ZERO,
  RANDOM,
  XioInfo,
  F_FUA,
  inject,
  maskOps,
  type Counter,
  type NetAddress,
  type Random,
  type XioObject,
  type XioOutput,
} from '@mars/brick-core';
import type { TrafficClass } from '@mars/wire';
import { BRICK_NET, type BrickNet } from '../brick-net.js';
import { GIVE_UP_CHECK_MS, MAX_LANES } from '../limits.js';
import { READS, readInfo, type InfoMessage } from '../protocol.js';
import { ClientLane, type LaneHost } from './lane.js';
import { RequestList, Ticket } from './request-list.js';

const CHANGES = (1 << OP_WRITE) | (1 << OP_TRIM) | (1 << OP_ZERO);
/** These keep their order, on the first lane. */
const ORDERED = CHANGES | (1 << OP_FLUSH);

/**
 * A brick of another host, used as if it were here.
 *
 * Whatever happens to the network, requests are sent again until they are answered, or until `ioTimeout` is over. The first lane carries
 * everything that changes something, in order; the others only reads. A lane that was opened anew is let in by the server when nothing of
 * its former life is under way there, and then first gets what was not answered, in the old order: so no write ever meets its own
 * older copy, and none overtakes a later one.
 *
 * A remote host that is started anew may have lost what was not flushed. Then the next FLUSH fails, once, so that the consumer knows.
 *
 * Source: bricks.md 3.5, 2.10; transaction-log.md 6.1
 */
@Brick({
  type: 'client',
  about: 'A brick that another host exports.',
  ops: ['read', 'write', 'flush', 'trim', 'zero', 'extents', 'cache', 'digests'],
  caps: ['REMOTE'],
  params: {
    properties: {
      peer: { type: 'string', minLength: 1, about: 'Name of the host that exports it.' },
      address: {
        type: 'string',
        default: '',
        about: '"host:port" or "[v6]:port", where the address of the peer is not known from the cluster.',
      },
      export: { type: 'string', minLength: 1, about: 'Name of the export.' },
      write: { type: 'boolean', default: false, about: 'Ask for write access.' },
      lanes: { type: 'integer', default: 2, minimum: 1, maximum: MAX_LANES, about: 'Connections to the peer.' },
      class: {
        type: 'string',
        enum: ['meta', 'log', 'sync'],
        default: 'sync',
        about: 'Kind of traffic: what waits for what on a slow line.',
      },
      ioTimeout: {
        unit: 'ms',
        default: '0ms',
        minimum: 0,
        about: 'A request that was not answered for that long fails with ETIME. 0 = never.',
      },
    },
    required: ['peer', 'export'],
  },
  live: ['ioTimeout'],
})
export class ClientBrick extends BrickBase implements XioOutput, LaneHost {
  readonly session: string;
  private readonly offered = new XioInfo();
  private lanes: ClientLane[] = [];
  private waiting!: RequestList;
  /** Number of the last request. */
  private lastId = 0.5;
  private bootId = '';
  /** Changes that were answered, and how many of them a flush has covered. */
  private changes = 0;
  private flushed = 0;
  private mayHaveLost = false;
  private isKnown = false;
  private isOn = false;
  private ioTimeoutMs = 0;
  private roundNr = 0;
  private arrived: (() => void) | null = null;
  private resent!: Counter;
  private breaks!: Counter;
  private timeouts!: Counter;

  constructor(
    @inject(BRICK_NET) private readonly net: BrickNet,
    @inject(RANDOM) random: Random,
  ) {
    super();
    this.session = Array.from({ length: 4 }, () =>
      random
        .int(2 ** 32)
        .toString(16)
        .padStart(8, '0'),
    ).join('');
  }

  protected override attached(): void {
    this.waiting = new RequestList(this.ctx.slot);
    this.ioTimeoutMs = this.ctx.params.ioTimeout as number;
    this.lastId = 0;
    this.resent = this.ctx.counter('sent_again');
    this.breaks = this.ctx.counter('breaks');
    this.timeouts = this.ctx.counter('timeouts');
    this.address();
  }

  protected override async start(signal: AbortSignal): Promise<void> {
    const { peer, lanes } = this.ctx.params as { peer: string; lanes: number };
    const address = this.address();
    this.isKnown = false;
    this.mayHaveLost = false;
    this.changes = this.flushed = 0;
    this.bootId = '';
    this.isOn = true;
    for (let nr = 0; nr < lanes; nr++) this.lanes.push(new ClientLane(nr, this, this.net, peer, address));
    const known = new Promise<void>((resolve, reject) => {
      this.arrived = resolve;
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
    for (const lane of this.lanes) lane.start();
    try {
      await known;
    } catch (error) {
      this.stop();
      throw error;
    } finally {
      this.arrived = null;
    }
    const round = ++this.roundNr;
    this.ctx.loop.after(GIVE_UP_CHECK_MS, round, this.checkTimeouts, this);
  }

  protected override stop(): void {
    this.isOn = false;
    this.roundNr++;
    for (const lane of this.lanes.splice(0)) lane.stop();
    this.publishState();
  }

  protected override liveParam(name: string, value: unknown): void {
    if (name === 'ioTimeout') this.ioTimeoutMs = value as number;
  }

  info(into: XioInfo): number {
    into.copyFrom(this.offered);
    into.caps |= CAP_REMOTE;
    return 0;
  }

  io(o: XioObject): void {
    const ticket = (o.aspects[this.ctx.slot] ??= new Ticket()) as Ticket;
    ticket.id = ++this.lastId;
    ticket.issuedUs = this.ctx.loop.nowUs;
    ticket.lateErr = null;
    ticket.covers = this.changes;
    if (o.op === OP_FLUSH && this.mayHaveLost) {
      this.mayHaveLost = false;
      return this.ctx.loop.finish(o, -EIO);
    }
    this.waiting.insert(o);
    this.pump();
  }

  override endBatch(): void {
    this.pump();
  }

  /** Sends what waits, oldest first; changes and flushes keep their order. */
  private pump(): void {
    let isOrderedBlocked = false;
    let isReadBlocked = false;
    let o = this.waiting.head;
    while (o !== null && !(isOrderedBlocked && isReadBlocked)) {
      const next = this.waiting.next(o);
      const isOrdered = (ORDERED & (1 << o.op)) !== 0;
      if (!(isOrdered ? isOrderedBlocked : isReadBlocked)) {
        const lane = isOrdered ? this.firstLaneFor(o) : this.laneForRead(o);
        if (lane !== undefined) {
          this.waiting.remove(o);
          lane.send(o);
        } else if (isOrdered) isOrderedBlocked = true;
        else isReadBlocked = true;
      }
      o = next;
    }
  }

  private firstLaneFor(o: XioObject): ClientLane | undefined {
    const first = this.lanes[0];
    return first?.hasRoomFor(o) === true ? first : undefined;
  }

  /** The lane with the least under way. */
  private laneForRead(o: XioObject): ClientLane | undefined {
    let best: ClientLane | undefined;
    for (const lane of this.lanes)
      if (lane.hasRoomFor(o) && (best === undefined || lane.sent.length < best.sent.length)) best = lane;
    return best;
  }

  // ---------------------------------------------------------------------------------------------- what lanes need and tell

  get memory(): Uint8Array {
    return this.ctx.mem.u8;
  }
  get slot(): number {
    return this.ctx.slot;
  }
  get exportName(): string {
    return this.ctx.params.export as string;
  }
  get mayWrite(): boolean {
    return this.ctx.params.write as boolean;
  }
  get trafficClass(): TrafficClass {
    return this.ctx.params.class as TrafficClass;
  }

  after(ms: number, then: () => void): void {
    this.ctx.loop.after(ms, then, call, this);
  }

  opened(_lane: ClientLane, info: InfoMessage, bootId: string): void {
    if (this.bootId !== '' && bootId !== this.bootId && this.changes > this.flushed) {
      this.mayHaveLost = true;
      this.flushed = this.changes;
      this.ctx.log.error(
        { peer: this.ctx.params.peer as string },
        'the remote host was started anew: what was not flushed may be lost, and the next flush fails',
      );
    }
    this.bootId = bootId;
    this.infoArrived(info);
    this.publishState();
    this.plug();
  }

  refused(_lane: ClientLane, errno: number, text: string): void {
    this.ctx.publish('problem', text);
    this.ctx.log.warn({ errno, text }, 'the remote host refuses the export');
  }

  infoArrived(message: InfoMessage): void {
    const before = JSON.stringify(this.offered);
    if (!readInfo(message, this.offered)) {
      throw new MarsError(ErrorCode.WIRE_PROTOCOL, `the export "${this.exportName}" has properties that cannot be`);
    }
    // Who did not ask for write access is not to believe that it has it.
    if (!this.mayWrite) maskOps(this.offered, READS);
    const isNew = !this.isKnown;
    this.isKnown = true;
    if (isNew) this.arrived?.();
    else if (JSON.stringify(this.offered) !== before) this.ctx.infoChanged();
  }

  broke(lane: ClientLane, why: MarsError | null): void {
    for (let o = lane.takeSent(); o !== null; o = lane.takeSent()) {
      this.resent.n++;
      this.waiting.insert(o);
    }
    if (!this.isOn) return;
    this.breaks.n++;
    if (why !== null) this.ctx.publish('problem', why.message);
    this.publishState();
    this.plug();
  }

  roomAgain(): void {
    if (this.waiting.head !== null) this.plug();
  }

  answered(o: XioObject, err: number): void {
    if (err === 0) this.countChange(o);
    this.ctx.loop.finish(o, err);
  }

  private countChange(o: XioObject): void {
    if (CHANGES & (1 << o.op) && !(o.flags & F_FUA)) this.changes++;
    else if (o.op === OP_FLUSH) this.flushed = Math.max(this.flushed, (o.aspects[this.ctx.slot] as Ticket).covers);
  }

  private readonly checkTimeouts = (round: number): void => {
    if (round !== this.roundNr) return;
    if (this.ioTimeoutMs > 0) {
      const before = this.ctx.loop.nowUs - this.ioTimeoutMs * 1000;
      this.giveUp(this.waiting, null, before);
      for (const lane of this.lanes) this.giveUp(lane.sent, lane, before);
    }
    this.ctx.loop.after(GIVE_UP_CHECK_MS, round, this.checkTimeouts, this);
  };

  private giveUp(list: RequestList, lane: ClientLane | null, beforeUs: number): void {
    let o = list.head;
    while (o !== null) {
      const next = list.next(o);
      const ticket = list.ticketOf(o);
      if (ticket.issuedUs < beforeUs) {
        this.timeouts.n++;
        if (lane === null) list.remove(o);
        else lane.forget(o);
        if (ticket.lent > 0) ticket.lateErr = -ETIME;
        else this.ctx.loop.finish(o, -ETIME);
      }
      o = next;
    }
  }

  private publishState(): void {
    const open = this.lanes.filter((lane) => lane.isOpen).length;
    this.ctx.publish('lanes', open);
    this.ctx.publish('connected', open > 0);
    if (open > 0) this.ctx.publish('problem', '');
  }

  /** @throws MarsError BAD_PARAMETER */
  private address(): NetAddress | null {
    const text = this.ctx.params.address as string;
    if (text === '') return null;
    const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(text);
    const port = Number(match?.[3]);
    if (match !== null && port > 0 && port < 65_536) return { host: match[1] ?? match[2]!, port };
    throw new MarsError(ErrorCode.BAD_PARAMETER, `"${text}" is no address`, {
      hint: 'Write it like "192.0.2.1:7779", "[2001:db8::1]:7779" or "hostname:7779".',
    });
  }
}

function call(then: () => void): void {
  then();
}
