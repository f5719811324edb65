import {
  Brick,
  BrickBase,
  CAP_FAST_ZERO,
  ECONNRESET,
  EIO,
  ENOTCONN,
  EOPNOTSUPP,
  ErrorCode,
  F_FAST,
  F_FUA,
  MarsError,
  OP_CACHE,
  OP_FLUSH,
  OP_TRIM,
  OP_WRITE,
  OP_ZERO,
  TLS_ENDPOINT,
  XioInfo,
  inject,
  RequestQueue,
  type Counter,
  type RingQueue,
  type TlsClientIdentity,
  type TlsEndpoint,
  type XioObject,
} from '@mars/brick-core';
import { CAN_MULTI_CONN } from '../nbd/protocol.js';
import { Call } from './call.js';
import type { ExportTerms } from './client-handshake.js';
import { NbdConnection, type ConnectionOwner } from './connection.js';
import { RECONNECT_FIRST_MS, RECONNECT_LAST_MS } from './limits.js';
import type { Destination } from './opening.js';
import { offer, whyNotTheSame } from './offer.js';
import { nbdClientParams, type NbdClientParams } from './params.js';
import { parseNbdUri, type NbdTarget } from './uri.js';

/** A hint that is longer than the server wants to hear: answered, and forgotten. */
const NOT_FOLLOWED = 1;

const CHANGES = (1 << OP_WRITE) | (1 << OP_TRIM) | (1 << OP_ZERO);

/**
 * Imports a foreign NBD export: a storage end that lies behind a socket.
 *
 * When the server goes, requests are kept while it is looked for. Those that it has never seen, and those that change nothing,
 * are sent again. The outcome of a change that it had seen is unknown: that is an error for the consumer, unless `retryWrites`.
 *
 * I1: a request that is sent again goes before all that came later; new ones wait until it is answered. So a change is never
 *     under way together with a later one for the same place.
 * I2: nothing is answered or sent again while the kernel may still read or write its payload (kept in `NbdConnection`).
 *
 * Source: bricks.md 6 (nbd_client); doc/proto.md of the NetworkBlockDevice project
 */
@Brick({
  type: 'nbd-client',
  about: 'Imports a foreign NBD export over TCP or a unix socket.',
  aliases: ['nbd_client'],
  ops: ['read', 'write', 'flush', 'trim', 'zero', 'extents', 'cache'],
  caps: ['WRITE', 'FLUSH', 'TRIM', 'FAST_ZERO', 'EXTENTS', 'WHOLE', 'ORDERED', 'REMOTE'],
  params: nbdClientParams,
})
export class NbdClientBrick extends BrickBase implements ConnectionOwner {
  private params!: NbdClientParams;
  private target!: NbdTarget;
  private destination!: Destination;
  private terms: ExportTerms | null = null;
  private connections: NbdConnection[] = [];
  private coming: Promise<void>[] = [];
  private life = new AbortController();
  private readonly offered = new XioInfo();
  private readonly waiting = new RequestQueue();
  /** Those that go again, before all others. */
  private readonly again = new RequestQueue();
  private orders = 0.5;
  /** Requests that were sent again and are not answered. */
  private resent = 0;
  /** The server has been gone for longer than `reconnect`. */
  private isGivenUp = false;
  private outage = 0;
  /** Changes that were answered, and how many of them a flush has covered. */
  private changes = 0;
  private flushedChanges = 0;
  /** `unflushed: fail`, and it has happened: what was written may be lost. */
  private mayHaveLost = false;
  private losses!: Counter;
  private retries!: Counter;

  constructor(@inject(TLS_ENDPOINT, { isOptional: true }) private readonly tls: TlsEndpoint | undefined) {
    super();
  }

  protected override attached(): void {
    this.params = this.ctx.params as unknown as NbdClientParams;
    this.target = parseNbdUri(this.params.uri);
    this.losses = this.ctx.counter('connections_lost');
    this.retries = this.ctx.counter('sent_again');
    this.orders = 0;
  }

  protected override async start(signal: AbortSignal): Promise<void> {
    const ring = this.ringOrThrow();
    this.destination = this.destinationOf(this.params);
    this.life = new AbortController();
    this.isGivenUp = this.mayHaveLost = false;
    this.changes = this.flushedChanges = 0;
    this.terms = null;
    try {
      await this.openFirst(ring, signal);
      for (let n = 1; n < this.connectionsWanted(); n++) this.come(this.newConnection(n, ring));
      this.watchForMute(this.life.signal);
    } catch (cause) {
      await this.stop();
      if (signal.aborted) throw cause;
      throw new MarsError(ErrorCode.SOCKET, `${this.params.uri}: ${(cause as Error).message}`, {
        cause,
        hint: 'Is the server running, is the address right, and does "nbdinfo" show the export?',
      });
    }
    this.ctx.publish('sizeBytes', this.offered.size);
    this.publishConnected();
  }

  protected override async stop(): Promise<void> {
    this.life.abort();
    await Promise.all(this.coming.splice(0));
    for (const connection of this.connections.splice(0)) await connection.close();
  }

  info(into: XioInfo): number {
    if (this.terms !== null) into.copyFrom(this.offered);
    return 0;
  }

  io(o: XioObject): void {
    const call = (o.aspects[this.ctx.slot] ??= new Call()) as Call;
    call.begin(o, ++this.orders, this.changes);
    const err = this.refusal(o);
    if (err !== 0) return this.ctx.loop.finish(o, err === NOT_FOLLOWED ? 0 : err);
    this.waiting.push(o);
    this.plug();
  }

  override endBatch(_events: number): void {
    this.dispatch(this.again);
    // I1
    if (this.resent === 0) this.dispatch(this.waiting);
    for (const connection of this.connections) connection.flush();
  }

  override get busy(): boolean {
    return super.busy || this.waiting.length + this.again.length > 0;
  }

  callOf(o: XioObject): Call {
    return o.aspects[this.ctx.slot] as Call;
  }

  answered(call: Call): void {
    const { o, err } = call;
    if (call.isResent) this.resent--;
    if (err === 0 && o.op === OP_FLUSH) this.flushedChanges = Math.max(this.flushedChanges, call.changesBefore);
    else if (err === 0 && CHANGES & (1 << o.op) && !(o.flags & F_FUA)) this.changes++;
    const isLie = this.mayHaveLost && (o.op === OP_FLUSH || (o.flags & F_FUA) !== 0);
    this.ctx.loop.finish(o, err === 0 && isLie ? -EIO : err);
    if (this.waiting.length + this.again.length > 0) this.plug();
  }

  lost(connection: NbdConnection, left: Call[], reason: string): void {
    if (this.life.signal.aborted) return;
    this.losses.n++;
    this.ctx.log.warn(
      { uri: this.params.uri, connection: connection.number, reason },
      'connection to the NBD server lost',
    );
    this.judgeUnflushed();
    for (let i = left.length - 1; i >= 0; i--) this.keepOrFail(left[i]!);
    this.publishConnected();
    this.come(connection);
    if (this.isCutOff) this.startOutage();
    this.plug();
  }

  // ---------------------------------------------------------------------------------------------------------- requests

  private refusal(o: XioObject): number {
    if (this.isGivenUp) return -ENOTCONN;
    if (o.op === OP_CACHE && o.len > this.offered.maxLen) return NOT_FOLLOWED;
    if (o.op === OP_ZERO && o.flags & F_FAST && !(this.offered.caps & CAP_FAST_ZERO)) return -EOPNOTSUPP;
    return this.mayHaveLost && (o.op === OP_FLUSH || o.flags & F_FUA) ? -EIO : 0;
  }

  private dispatch(queue: RequestQueue): void {
    while (queue.length > 0) {
      const connection = this.leastLoaded();
      if (connection === null) return;
      connection.enqueue(queue.shift()!);
    }
  }

  private leastLoaded(): NbdConnection | null {
    let best: NbdConnection | null = null;
    for (const connection of this.connections)
      if (connection.hasRoom && (best === null || connection.load < best.load)) best = connection;
    return best;
  }

  /** What becomes of a request whose connection is gone; called for the youngest first, because each goes to the front. */
  private keepOrFail(call: Call): void {
    const wasSeen = call.phase !== 'waiting';
    if (wasSeen && CHANGES & (1 << call.o.op) && !this.params.retryWrites) {
      call.err = -ECONNRESET;
      return this.answered(call);
    }
    call.again();
    if (!wasSeen && !call.isResent) return this.waiting.unshift(call.o);
    this.retries.n++;
    if (!call.isResent) this.resent++;
    call.isResent = true;
    this.again.unshift(call.o);
  }

  // -------------------------------------------------------------------------------------------------------- connections

  private async openFirst(ring: RingQueue, signal: AbortSignal): Promise<void> {
    const first = this.newConnection(0, ring);
    this.terms = await first.open(this.destination, signal);
    signal.throwIfAborted();
    first.use();
    offer(this.terms, this.params.readonly, this.connectionsWanted(), this.offered.clear());
    if (this.params.connections > 1 && this.connectionsWanted() === 1) {
      const facts = { uri: this.params.uri, wanted: this.params.connections };
      this.ctx.log.warn(facts, 'one connection only: the server does not promise that a flush covers several');
    }
  }

  private newConnection(number: number, ring: RingQueue): NbdConnection {
    const connection = new NbdConnection(number, this.ctx.loop, ring, this);
    this.connections.push(connection);
    return connection;
  }

  private connectionsWanted(): number {
    return this.terms!.flags & CAN_MULTI_CONN ? this.params.connections : 1;
  }

  /** Looks for the server until it is there, or the brick goes off. */
  private come(connection: NbdConnection): void {
    const coming = this.keepTrying(connection).finally(() => {
      const at = this.coming.indexOf(coming);
      if (at >= 0) void this.coming.splice(at, 1);
    });
    this.coming.push(coming);
  }

  private async keepTrying(connection: NbdConnection): Promise<void> {
    const { signal } = this.life;
    let lastReason = '';
    for (let pauseMs = RECONNECT_FIRST_MS; !signal.aborted; pauseMs = Math.min(2 * pauseMs, RECONNECT_LAST_MS)) {
      const reason = await this.tryOnce(connection, signal);
      if (reason === null) return this.isBack(connection);
      // Every attempt fails alike, as a rule: that is said once.
      if (reason !== lastReason && !signal.aborted)
        this.ctx.log.warn(
          { uri: this.params.uri, connection: connection.number, reason },
          'no way to the NBD server yet',
        );
      lastReason = reason;
      await this.ctx.loop.sleep(pauseMs, { signal }).catch(() => {});
    }
  }

  /** @returns why not; null = the connection is open, and its export is what it was */
  private async tryOnce(connection: NbdConnection, signal: AbortSignal): Promise<string | null> {
    try {
      const terms = await connection.open(this.destination, signal);
      const reason = whyNotTheSame(this.terms!, terms);
      // Only now may requests go there: another export must not get a single one of them.
      if (reason === null) return connection.use() ? null : 'it was lost at once';
      await connection.close();
      return reason;
    } catch (error) {
      return (error as Error).message;
    }
  }

  private isBack(connection: NbdConnection): void {
    this.outage++;
    this.isGivenUp = false;
    this.ctx.log.info({ uri: this.params.uri, connection: connection.number }, 'connected to the NBD server');
    this.publishConnected();
    this.plug();
  }

  /** Nobody is connected: after `reconnect` all that waits fails, and so does what comes, until the server is back. */
  private startOutage(): void {
    const outage = ++this.outage;
    this.ctx.loop.after(this.params.reconnect, outage, this.outageIsLong);
  }

  private readonly outageIsLong = (outage: number): void => {
    if (outage !== this.outage || !this.isCutOff) return;
    this.isGivenUp = true;
    const requests = this.waiting.length + this.again.length;
    const facts = { uri: this.params.uri, waitedMs: this.params.reconnect, requests };
    this.ctx.log.error(facts, 'the NBD server does not come back: requests fail until it does');
    for (let o = this.oldest(); o !== null; o = this.oldest()) {
      const call = this.callOf(o);
      call.err = -ENOTCONN;
      this.answered(call);
    }
  };

  private oldest(): XioObject | null {
    return this.again.shift() ?? this.waiting.shift();
  }

  /** A server that died with its host has lost what it had not flushed; one that was only restarted has not. Nobody can tell. */
  private judgeUnflushed(): void {
    if (this.changes === this.flushedChanges) return;
    const facts = { uri: this.params.uri, unflushed: this.params.unflushed };
    this.ctx.log.warn(facts, 'the server had answered writes that were not flushed: if its host died, they are lost');
    if (this.params.unflushed === 'trust') return;
    this.mayHaveLost = true;
    this.ctx.publish('mayHaveLost', true);
  }

  private get isCutOff(): boolean {
    return this.connections.every((connection) => connection.state !== 'open');
  }

  private publishConnected(): void {
    this.ctx.publish('connected', this.connections.filter((connection) => connection.state === 'open').length);
  }

  /** @throws MarsError SOCKET, BAD_PARAMETER, FILE_IO */
  private destinationOf({ tls, tlsCa, tlsCert, tlsKey, tlsHostname }: NbdClientParams): Destination {
    const { address, isTls } = this.target;
    const to = { address, exportName: this.params.export ?? this.target.exportName, tls: null };
    if (tls === 'off' && !isTls) return to;
    if (this.tls === undefined)
      throw new MarsError(ErrorCode.SOCKET, 'there is no TLS on this loop', { hint: 'Set "tls: off", and use nbd:.' });
    const identity: TlsClientIdentity = { serverName: tlsHostname ?? ('host' in address ? address.host : 'localhost') };
    if (tlsCa !== undefined) identity.caPath = tlsCa;
    if (tlsCert !== undefined) identity.certPath = tlsCert;
    if (tlsKey !== undefined) identity.keyPath = tlsKey;
    return { ...to, tls: this.tls.client(identity) };
  }

  /** Called by the timer, as long as this life lasts: looks for servers that have fallen silent. */
  private readonly lookForMute = (signal: AbortSignal): void => {
    if (signal.aborted) return;
    for (const connection of this.connections) connection.endIfMute(this.params.timeout);
    this.watchForMute(signal);
  };

  private watchForMute(signal: AbortSignal): void {
    if (this.params.timeout > 0) this.ctx.loop.after(this.params.timeout / 4, signal, this.lookForMute, this);
  }

  private ringOrThrow(): RingQueue {
    const { ring } = this.ctx.loop;
    if (ring !== null && ring.sockets !== null) return ring;
    throw new MarsError(ErrorCode.SOCKET, 'this loop has no sockets', { hint: 'Run the stack in the real world.' });
  }
}
