import {
  ErrorCode,
  MarsError,
  OP_DIGESTS,
  OP_EXTENTS,
  OP_READ,
  OP_WRITE,
  type NetAddress,
  type XioObject,
} from '@mars/brick-core';
import type { Channel, PeerLinkApi, TrafficClass } from '@mars/wire';
import type { BrickNet } from '../brick-net.js';
import { REFUSED_RETRY_MS } from '../limits.js';
import { INFO, OPEN, OPENED, REPLY, REQUEST, type InfoMessage } from '../protocol.js';
import { payloadOf } from '../server/lane.js';
import { RequestList, type Ticket } from './request-list.js';

/** What a lane needs of its client. */
export interface LaneHost {
  readonly memory: Uint8Array;
  readonly slot: number;
  readonly session: string;
  readonly exportName: string;
  readonly mayWrite: boolean;
  readonly trafficClass: TrafficClass;
  after(ms: number, then: () => void): void;
  /** The server has let this lane in. */
  opened(lane: ClientLane, info: InfoMessage, bootId: string): void;
  /** The export refuses us. */
  refused(lane: ClientLane, errno: number, text: string): void;
  /** The export has changed. */
  infoArrived(info: InfoMessage): void;
  /** Everything that was under way on the lane has to be sent again. */
  broke(lane: ClientLane, why: MarsError | null): void;
  /** There is room for more. */
  roomAgain(): void;
  answered(o: XioObject, err: number): void;
}

/** One channel of a client, over and over again. It keeps what is under way on it, and knows how much more the server takes. */
export class ClientLane {
  readonly sent: RequestList;
  isOpen = false;
  private readonly link: PeerLinkApi;
  private channel: Channel | null = null;
  private creditRequests = 0;
  private creditBytes = 0;
  private usedBytes = 0;
  private canSend = true;
  /** By number; only what is in `sent`. */
  private readonly byId = new Map<number, XioObject>();
  private receiving: XioObject | null = null;
  private receivingErr = 0;
  private receivingLen = 0;
  private receivingFlags = 0;
  private receivedBytes = 0;
  private hasStopped = false;

  constructor(
    readonly nr: number,
    private readonly host: LaneHost,
    net: BrickNet,
    peer: string,
    address: NetAddress | null,
  ) {
    this.sent = new RequestList(host.slot);
    this.link = net.link(peer, address, { up: (channel) => this.up(channel), down: (error) => this.down(error) });
  }

  start(): void {
    this.link.start();
  }

  stop(): void {
    this.hasStopped = true;
    this.link.stop();
    this.down(null);
  }

  /** May this request go now? One larger than all credit goes alone. */
  hasRoomFor(o: XioObject): boolean {
    if (!this.isOpen || !this.canSend || this.sent.length >= this.creditRequests) return false;
    return this.sent.length === 0 || this.usedBytes + payloadOf(o.op, o.len) <= this.creditBytes;
  }

  send(o: XioObject): void {
    const ticket = this.ticketOf(o);
    const { op, flags, prio, pos, len, buf } = o;
    ticket.lane = this;
    this.sent.insert(o);
    this.byId.set(ticket.id, o);
    this.usedBytes += payloadOf(op, len);
    const header = { id: ticket.id, op, flags, prio, pos, len };
    const isWrite = op === OP_WRITE && len > 0;
    if (isWrite) ticket.lent++;
    const payload = isWrite ? this.host.memory.subarray(buf, buf + len) : NOTHING;
    this.canSend = this.channel!.sendRaw(REQUEST, header, payload, {
      class: this.host.trafficClass,
      ...(isWrite ? { done: () => this.returned(o, ticket) } : {}),
    });
  }

  /** Gives a request up, whatever becomes of it over there. */
  forget(o: XioObject): void {
    const ticket = this.ticketOf(o);
    this.take(o, ticket);
    if (this.receiving === o) this.receiving = null;
  }

  private returned(o: XioObject, ticket: Ticket): void {
    if (--ticket.lent > 0 || ticket.lateErr === null) return;
    const err = ticket.lateErr;
    ticket.lateErr = null;
    this.host.answered(o, err);
  }

  private up(channel: Channel): void {
    this.channel = channel;
    this.canSend = true;
    channel.on(OPENED, (opened) => {
      if (channel !== this.channel) return;
      if (opened.errno !== 0) return this.wasRefused(opened.errno, opened.text);
      this.creditRequests = Math.max(1, opened.creditRequests);
      this.creditBytes = opened.creditBytes;
      this.isOpen = true;
      this.host.opened(this, opened.info, opened.bootId);
    });
    channel.on(INFO, (info) => {
      if (channel === this.channel) this.host.infoArrived(info);
    });
    channel.onRaw(REPLY, {
      begin: (reply, payloadBytes) => this.begins(channel, reply, payloadBytes),
      data: (bytes) => this.arrives(bytes),
      end: () => this.arrived(),
    });
    channel.onDrain(() => {
      this.canSend = true;
      this.host.roomAgain();
    });
    channel.start();
    const { session, exportName, mayWrite } = this.host;
    channel.send(OPEN, { session, lane: this.nr, export: exportName, write: mayWrite });
  }

  private wasRefused(errno: number, text: string): void {
    this.host.refused(this, errno, text);
    // Not at once again: the link would knock without a pause, because it does get a channel.
    this.link.stop();
    this.down(null);
    this.host.after(REFUSED_RETRY_MS, () => {
      if (!this.hasStopped) this.link.start();
    });
  }

  private down(error: MarsError | null): void {
    if (this.channel === null) return;
    this.channel = null;
    this.isOpen = false;
    this.receiving = null;
    this.host.broke(this, error);
  }

  /** The oldest request that was under way when the channel broke; taken out of the list. */
  takeSent(): XioObject | null {
    const o = this.sent.head;
    if (o !== null) this.take(o, this.ticketOf(o));
    return o;
  }

  private take(o: XioObject, ticket: Ticket): void {
    this.sent.remove(o);
    this.byId.delete(ticket.id);
    this.usedBytes -= payloadOf(o.op, o.len);
    ticket.lane = null;
  }

  private begins(
    channel: Channel,
    reply: { id: number; err: number; flags: number; len: number },
    payloadBytes: number,
  ): void {
    this.receiving = null;
    if (channel !== this.channel) return;
    const o = this.byId.get(reply.id);
    // Given up meanwhile.
    if (o === undefined) return;
    this.check(o, reply, payloadBytes);
    this.receiving = o;
    this.receivingErr = reply.err;
    this.receivingLen = reply.len;
    this.receivingFlags = reply.flags & ANSWER_FLAGS;
    this.receivedBytes = 0;
  }

  private check(o: XioObject, { err, len }: { err: number; len: number }, payloadBytes: number): void {
    const wanted = err === 0 && carriesData(o.op) ? len : 0;
    const most = o.op === OP_READ ? o.len : payloadOf(o.op, o.len);
    if (
      Number.isInteger(err) &&
      err <= 0 &&
      payloadBytes === wanted &&
      (wanted === 0 || (wanted >= 0 && wanted <= most))
    )
      return;
    throw new MarsError(
      ErrorCode.WIRE_PROTOCOL,
      `an answer that cannot be: ${payloadBytes} bytes, ${len} announced, error ${err}`,
    );
  }

  private arrives(bytes: Uint8Array): void {
    if (this.receiving === null) return;
    this.host.memory.set(bytes, this.receiving.buf + this.receivedBytes);
    this.receivedBytes += bytes.length;
  }

  /** Only now it is answered: an answer that breaks off in the middle is asked for again. */
  private arrived(): void {
    const o = this.receiving;
    this.receiving = null;
    if (o === null) return;
    this.take(o, this.ticketOf(o));
    if (this.receivingErr === 0) {
      if (carriesData(o.op)) o.len = this.receivingLen;
      o.flags |= this.receivingFlags;
    }
    this.answer(o, this.receivingErr);
    this.host.roomAgain();
  }

  /** Answers a request that is in no list any more, as soon as nobody reads its payload. */
  answer(o: XioObject, err: number): void {
    const ticket = this.ticketOf(o);
    if (ticket.lent > 0) ticket.lateErr = err;
    else this.host.answered(o, err);
  }

  private ticketOf(o: XioObject): Ticket {
    return o.aspects[this.host.slot] as Ticket;
  }
}

const NOTHING = new Uint8Array(0);
/** Flags that a provider sets. */
const ANSWER_FLAGS = 1;

function carriesData(op: number): boolean {
  return op === OP_READ || op === OP_EXTENTS || op === OP_DIGESTS;
}
