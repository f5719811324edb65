import {
  CQ_WORDS,
  EBADF,
  ECANCELED,
  EINVAL,
  EPIPE,
  IOV_WORDS,
  RING_ACCEPT,
  RING_CANCEL,
  RING_CLOSE,
  RING_MSG_WAITALL,
  RING_RECV,
  RING_SENDMSG,
  RING_SHUTDOWN,
  SQ_WORDS,
  createRandom,
  invariant,
  type NetAddress,
  type Ring,
  type RingSockets,
  type SeededRandom,
} from '@mars/brick-core';

/** Bytes that an end keeps for its reader before a writer has to wait, as a socket buffer does. */
const PIPE_BYTES = 256 * 1024;

interface Waiting {
  tag: number;
  /** RECV: where and how much; SENDMSG: what is left to be sent. */
  at: number;
  len: number;
  done: number;
  all: boolean;
  spans: Uint8Array[];
}

/** One connection: the ring's side of it. The client's side is {@link MemoryClient}. */
class Connection {
  toServer: Uint8Array[] = [];
  toServerBytes = 0;
  toClient: Uint8Array[] = [];
  toClientBytes = 0;
  /** The client writes no more; the client reads no more. */
  clientEnded = false;
  clientGone = false;
  isShut = false;
  receive: Waiting | null = null;
  send: Waiting | null = null;
}

/** A client of the server under test: bytes in, bytes out, no time. */
export class MemoryClient {
  /** What the server has sent and nobody has taken, as one piece per send. */
  constructor(
    private readonly ring: MemoryRing,
    private readonly c: Connection,
  ) {}

  write(bytes: Uint8Array): void {
    this.c.toServer.push(bytes.slice());
    this.c.toServerBytes += bytes.length;
    this.ring.poke();
  }

  /** Everything that the server has sent since the last call. */
  read(maxBytes = Infinity): Uint8Array {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    while (this.c.toClient.length > 0 && bytes < maxBytes) {
      const part = this.c.toClient.shift()!;
      const n = Math.min(part.length, maxBytes - bytes);
      if (n < part.length) this.c.toClient.unshift(part.subarray(n));
      parts.push(part.subarray(0, n));
      bytes += n;
    }
    this.c.toClientBytes -= bytes;
    this.ring.poke();
    return Buffer.concat(parts);
  }

  /** Half close: the server sees the end of the stream. */
  end(): void {
    this.c.clientEnded = true;
    this.ring.poke();
  }

  /** As a killed process: the server's sends fail. */
  vanish(): void {
    this.c.clientEnded = this.c.clientGone = true;
    this.ring.poke();
  }

  get isClosedByServer(): boolean {
    return this.c.isShut;
  }

  /** Bytes that the server has not received. */
  get unreadBytes(): number {
    return this.c.toServerBytes;
  }
}

export interface MemoryRingOptions {
  /** Cuts receives and sends at random places, and answers operations in random order. */
  seed?: number;
  entries?: number;
}

/**
 * A ring of sockets that live in memory, for tests of front ends: every operation completes as soon as it can, nothing blocks,
 * and with a seed every byte boundary is a possible one. It checks its user: a descriptor is closed once, and never with an
 * operation under way.
 */
export class MemoryRing implements Ring, RingSockets {
  readonly sq: Int32Array;
  readonly cq: Int32Array;
  readonly iov: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly connections = new Map<number, Connection>();
  private readonly listeners = new Map<number, { accept: Waiting | null; backlog: number[] }>();
  private readonly results: number[] = [];
  private callback: (() => void) | null = null;
  private nextFd = 3;
  private readonly random: SeededRandom | null;

  constructor(
    readonly arena: ArrayBuffer | SharedArrayBuffer,
    { seed, entries = 4096 }: MemoryRingOptions = {},
  ) {
    this.bytes = new Uint8Array(arena);
    this.sq = new Int32Array(entries * SQ_WORDS);
    this.cq = new Int32Array(2 * entries * CQ_WORDS);
    this.iov = new Int32Array(entries * IOV_WORDS);
    this.random = seed === undefined ? null : createRandom(seed);
  }

  /** Descriptors that are open, listeners included. */
  get openCount(): number {
    return this.connections.size + this.listeners.size;
  }

  /** The callback is told that something has changed: usually a kick of the loop. */
  attach(callback: () => void): void {
    this.callback = callback;
  }
  detach(): void {
    this.callback = null;
  }
  wake(): void {
    this.callback?.();
  }
  poke(): void {
    this.progress();
    if (this.results.length > 0) this.callback?.();
  }
  run(): never {
    invariant(false, 'a memory ring blocks nobody');
  }
  close(): void {
    this.connections.clear();
    this.listeners.clear();
  }

  tick(nOps: number, _waitUs: number): number {
    for (let i = 0; i < nOps; i++) this.start(i * SQ_WORDS);
    this.progress();
    const n = Math.min(this.results.length / CQ_WORDS, this.cq.length / CQ_WORDS);
    for (let i = 0; i < n * CQ_WORDS; i++) this.cq[i] = this.results[i]!;
    this.results.splice(0, n * CQ_WORDS);
    return n;
  }

  // ------------------------------------------------------------------------------------------------------- RingSockets

  /** Modes of the sockets that somebody listens on, in the order in which they came. */
  readonly modes: (number | undefined)[] = [];

  async listen(_address: NetAddress, { mode }: { mode?: number } = {}): Promise<number> {
    this.modes.push(mode);
    this.listeners.set(this.nextFd, { accept: null, backlog: [] });
    return this.nextFd++;
  }
  create(): number {
    return -EINVAL;
  }
  encode(): Uint8Array {
    return new Uint8Array(0);
  }
  localAddress(): NetAddress {
    return { host: '127.0.0.1', port: 10809 };
  }
  remoteName(): string {
    return 'a test';
  }
  tune(): void {}

  /** A client connects to the only (or the given) listener. */
  connect(listenerFd = [...this.listeners.keys()][0]!): MemoryClient {
    const connection = new Connection();
    const fd = this.nextFd++;
    this.connections.set(fd, connection);
    this.listeners.get(listenerFd)!.backlog.push(fd);
    this.poke();
    return new MemoryClient(this, connection);
  }

  // --------------------------------------------------------------------------------------------------------- operations

  private start(at: number): void {
    const [code, fd, buf, len, , , flags, tag] = this.sq.subarray(at, at + SQ_WORDS) as unknown as number[];
    const listener = this.listeners.get(fd!);
    const connection = this.connections.get(fd!);
    const waiting: Waiting = {
      tag: tag!,
      at: buf!,
      len: len!,
      done: 0,
      all: (flags! & RING_MSG_WAITALL) !== 0,
      spans: [],
    };
    if (code === RING_CANCEL) this.cancel(buf!, tag!);
    else if (code === RING_CLOSE) this.closeFd(fd!, tag!);
    else if (code === RING_ACCEPT && listener) listener.accept = waiting;
    else if (!connection) this.answer(tag!, -EBADF);
    else if (code === RING_RECV) this.startReceive(connection, waiting);
    else if (code === RING_SENDMSG) this.startSend(connection, waiting);
    else if (code === RING_SHUTDOWN) {
      connection.isShut = true;
      this.answer(tag!, 0);
    } else this.answer(tag!, -EINVAL);
  }

  private startReceive(c: Connection, waiting: Waiting): void {
    invariant(c.receive === null, 'two receives on one socket');
    invariant(waiting.len > 0 && waiting.at + waiting.len <= this.bytes.length, 'a receive outside the arena');
    c.receive = waiting;
  }

  private startSend(c: Connection, waiting: Waiting): void {
    invariant(c.send === null, 'two sends on one socket');
    for (let i = waiting.at; i < waiting.at + waiting.len; i++) {
      const offset = this.iov[i * IOV_WORDS]!;
      waiting.spans.push(this.bytes.subarray(offset, offset + this.iov[i * IOV_WORDS + 1]!));
    }
    c.send = waiting;
  }

  private closeFd(fd: number, tag: number): void {
    const connection = this.connections.get(fd);
    const listener = this.listeners.get(fd);
    invariant(connection || listener, `descriptor ${fd} was closed twice, or never opened`);
    invariant(!connection?.receive && !connection?.send && !listener?.accept, 'closed with an operation under way');
    if (connection) connection.isShut = true;
    this.connections.delete(fd);
    this.listeners.delete(fd);
    this.answer(tag, 0);
  }

  private cancel(wanted: number, tag: number): void {
    for (const listener of this.listeners.values()) {
      if (listener.accept?.tag !== wanted) continue;
      this.answer(wanted, -ECANCELED);
      listener.accept = null;
    }
    this.answer(tag, 0);
  }

  private answer(tag: number, result: number): void {
    // With a seed, later results may overtake earlier ones, as they do in the kernel.
    const places = this.results.length / CQ_WORDS + 1;
    const place = this.random === null ? places - 1 : this.random.int(places);
    this.results.splice(place * CQ_WORDS, 0, tag, result);
  }

  private progress(): void {
    for (const listener of this.listeners.values()) {
      if (listener.accept === null || listener.backlog.length === 0) continue;
      const { tag } = listener.accept;
      listener.accept = null;
      this.answer(tag, listener.backlog.shift()!);
    }
    for (const c of this.connections.values()) {
      if (c.receive !== null) this.goOnReceiving(c, c.receive);
      if (c.send !== null) this.goOnSending(c, c.send);
    }
  }

  private goOnReceiving(c: Connection, w: Waiting): void {
    let isCut = false;
    while (c.toServer.length > 0 && w.done < w.len && !isCut) {
      const part = c.toServer[0]!;
      const n = this.some(Math.min(part.length, w.len - w.done));
      isCut = n < Math.min(part.length, w.len - w.done) && !w.all;
      this.bytes.set(part.subarray(0, n), w.at + w.done);
      w.done += n;
      c.toServerBytes -= n;
      if (n === part.length) c.toServer.shift();
      else c.toServer[0] = part.subarray(n);
    }
    const isEnough = w.done === w.len || (w.done > 0 && !w.all);
    if (!isEnough && !c.clientEnded && !c.isShut) return;
    c.receive = null;
    this.answer(w.tag, w.done);
  }

  private goOnSending(c: Connection, w: Waiting): void {
    if (c.clientGone || c.isShut) {
      c.send = null;
      return this.answer(w.tag, w.done > 0 ? w.done : -EPIPE);
    }
    while (w.spans.length > 0 && c.toClientBytes < PIPE_BYTES) {
      const span = w.spans[0]!;
      const n = Math.min(span.length, PIPE_BYTES - c.toClientBytes);
      c.toClient.push(span.slice(0, n));
      c.toClientBytes += n;
      w.done += n;
      if (n === span.length) w.spans.shift();
      else w.spans[0] = span.subarray(n);
    }
    if (w.spans.length > 0) return;
    c.send = null;
    this.answer(w.tag, w.done);
  }

  /** All of it, or with a seed now and then only a part. */
  private some(bytes: number): number {
    if (this.random === null || bytes < 2 || this.random.int(3) > 0) return bytes;
    return 1 + this.random.int(bytes);
  }
}
