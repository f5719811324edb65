import {
  DIGESTS_PAYLOAD_BYTES,
  EPERM,
  EXTENTS_PAYLOAD_BYTES,
  ErrorCode,
  HEAD_ROOM_BYTES,
  MAX_REQUEST_BYTES,
  MarsError,
  OP_COUNT,
  OP_DIGESTS,
  OP_EXTENTS,
  OP_READ,
  OP_TRIM,
  OP_WRITE,
  OP_ZERO,
  PRIO_HIGH,
  PRIO_LOW,
  type XioObject,
} from '@mars/brick-core';
import type { Channel, MessageOf } from '@mars/wire';
import { REPLY, REQUEST } from '../protocol.js';

type Request = MessageOf<typeof REQUEST>;

/** What a lane needs of the brick that it belongs to. */
export interface LaneOwner {
  readonly memory: Uint8Array;
  readonly slot: number;
  take(payloadBytes: number): XioObject | null;
  send(o: XioObject): void;
  free(o: XioObject): void;
  count(readBytes: number, writtenBytes: number): void;
  /** `pump()` is called at the end of this tick. */
  wakeLater(): void;
  /** `pump()` is called after a moment: there was no memory, and nothing of ours that could come back. */
  retryLater(): void;
}

const CHANGES = (1 << OP_WRITE) | (1 << OP_TRIM) | (1 << OP_ZERO);

/** A request that waits for an object. */
interface Waiting {
  request: Request;
  /** Collected payload of a WRITE; empty for others. */
  payload: Uint8Array;
  filledBytes: number;
}

/** Whom a request belongs to; aspect of its object. */
class Ticket {
  lane: ServerLane | null = null;
  id = 0;
}

/** A lane of a session through all its channels: requests of a broken one may be under way below for longer than it lived. */
export class LanePlace {
  current: ServerLane | null = null;
  flying = 0;
  /** Called when nothing of any channel is under way any more. */
  onQuiet: (() => void) | null = null;
}

/**
 * One channel of a client. Requests are sent down as they come; without a free object they wait here in order, and the channel is not read
 * any more. What can wait is bounded by the credit that the client was given; who sends more is cut off.
 */
export class ServerLane {
  /** The client has been told that it may begin. */
  isBegun = false;
  private isClosed = false;
  private readonly waiting: Waiting[] = [];
  /** The request whose payload is arriving: into the arena if there was room, else into memory of its own. */
  private arriving: XioObject | null = null;
  private arrivingLater: Waiting | null = null;
  private filledBytes = 0;
  private isPaused = false;

  constructor(
    readonly channel: Channel,
    private readonly owner: LaneOwner,
    private readonly mayWrite: boolean,
    private readonly place: LanePlace,
  ) {
    channel.onRaw(REQUEST, {
      begin: (request, payloadBytes) => this.begins(request, payloadBytes),
      data: (bytes) => this.arrives(bytes),
      end: () => this.arrived(),
    });
    channel.onClose(() => this.closed());
  }

  /** From now on requests are taken. */
  begin(): void {
    this.isBegun = true;
  }

  close(): void {
    this.channel.close();
    this.closed();
  }

  private closed(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    // What has not been sent down is forgotten: the client sends it again.
    this.waiting.length = 0;
    this.arrivingLater = null;
    if (this.arriving !== null) this.owner.free(this.arriving);
    this.arriving = null;
    this.checkQuiet();
  }

  private checkQuiet(): void {
    if (this.place.flying === 0) this.place.onQuiet?.();
  }

  private begins(request: Request, payloadBytes: number): void {
    this.check(request, payloadBytes);
    this.filledBytes = 0;
    // Behind others that wait it waits too: the order of a lane is kept.
    this.arriving = this.waiting.length > 0 ? null : this.prepare(request);
    if (this.arriving !== null) return;
    this.arrivingLater = { request, payload: new Uint8Array(payloadBytes), filledBytes: 0 };
  }

  private check(request: Request, payloadBytes: number): void {
    const { op, len, pos } = request;
    const wanted = op === OP_WRITE ? len : 0;
    const isSane =
      op >= 0 && op < OP_COUNT && Number.isSafeInteger(len) && Number.isSafeInteger(pos) && len >= 0 && pos >= 0;
    if (this.isBegun && isSane && payloadBytes === wanted && payloadOf(op, len) <= MAX_REQUEST_BYTES) return;
    throw new MarsError(
      ErrorCode.WIRE_PROTOCOL,
      `a request that cannot be: operation ${op}, ${len} bytes at ${pos}, payload ${payloadBytes}`,
    );
  }

  private arrives(bytes: Uint8Array): void {
    if (this.arriving !== null) this.owner.memory.set(bytes, this.arriving.buf + this.filledBytes);
    else this.arrivingLater?.payload.set(bytes, this.filledBytes);
    this.filledBytes += bytes.length;
  }

  private arrived(): void {
    const o = this.arriving;
    this.arriving = null;
    if (o !== null) return this.submit(o);
    if (this.arrivingLater === null) return;
    this.waiting.push(this.arrivingLater);
    this.arrivingLater = null;
    if (!this.isPaused) {
      this.isPaused = true;
      this.channel.pause();
    }
    this.owner.wakeLater();
  }

  private prepare(request: Request): XioObject | null {
    const { op, flags, prio, pos, len, id } = request;
    const o = this.owner.take(payloadOf(op, len));
    if (o === null) return null;
    o.op = op;
    o.flags = flags;
    o.prio = Math.max(PRIO_HIGH, Math.min(PRIO_LOW, prio));
    o.pos = pos;
    o.len = len;
    const ticket = (o.aspects[this.owner.slot] ??= new Ticket()) as Ticket;
    ticket.lane = this;
    ticket.id = id;
    return o;
  }

  private submit(o: XioObject): void {
    this.place.flying++;
    if (!this.mayWrite && CHANGES & (1 << o.op)) {
      o.err = -EPERM;
      return this.reply(o);
    }
    this.owner.send(o);
  }

  /** Sends down what waits, as far as there are objects. */
  pump(): void {
    while (this.waiting.length > 0) {
      const first = this.waiting[0]!;
      const o = this.prepare(first.request);
      if (o === null) return this.place.flying === 0 ? this.owner.retryLater() : undefined;
      this.waiting.shift();
      if (first.payload.length > 0) this.owner.memory.set(first.payload, o.buf);
      this.submit(o);
    }
    if (!this.isPaused) return;
    this.isPaused = false;
    this.channel.resume();
  }

  /** An answer from below. */
  static answered(o: XioObject, slot: number): void {
    (o.aspects[slot] as Ticket).lane!.reply(o);
  }

  private reply(o: XioObject): void {
    const ticket = o.aspects[this.owner.slot] as Ticket;
    const hasData = o.err >= 0 && (o.op === OP_READ || o.op === OP_EXTENTS || o.op === OP_DIGESTS) && o.buf >= 0;
    const bytes = hasData ? Math.max(0, o.len) : 0;
    const { buf, op } = o;
    this.owner.count(op === OP_READ ? bytes : 0, op === OP_WRITE && o.err >= 0 ? o.len : 0);
    const done = (): void => this.finished(o);
    if (this.isClosed) return done();
    const payload = bytes > 0 ? this.owner.memory.subarray(buf, buf + bytes) : NOTHING;
    this.channel.sendRaw(REPLY, { id: ticket.id, err: o.err, flags: o.flags, len: o.len }, payload, {
      ...(bytes > 0 ? { headRoomBytes: HEAD_ROOM_BYTES } : {}),
      done,
    });
  }

  private finished(o: XioObject): void {
    (o.aspects[this.owner.slot] as Ticket).lane = null;
    this.owner.free(o);
    this.place.flying--;
    this.owner.wakeLater();
    this.checkQuiet();
  }
}

const NOTHING = new Uint8Array(0);

/** Bytes of payload that the object of a request needs. */
export function payloadOf(op: number, len: number): number {
  if (op === OP_READ || op === OP_WRITE) return len;
  if (op === OP_EXTENTS) return EXTENTS_PAYLOAD_BYTES;
  return op === OP_DIGESTS ? DIGESTS_PAYLOAD_BYTES : 0;
}
