import {
  CQ_WORDS,
  DebugArena,
  EINVAL,
  EPIPE,
  IOV_WORDS,
  Loop,
  RING_CANCEL,
  RING_CLOSE,
  RING_CONNECT,
  RING_RECV,
  RING_SENDMSG,
  RING_SHUTDOWN,
  RingQueue,
  SQ_WORDS,
  composeServices,
  container,
  createRandom,
  invariant,
  type NetAddress,
  type Ring,
  type RingSockets,
  type TlsEndpoint,
} from '@mars/brick-core';
import { VirtualDriver, type HostParts } from '@mars/brick-core/testing';
import { REQUEST_BYTES, REQUEST_MAGIC } from '../nbd/protocol.js';

const ENTRIES = 1024;
const FIFO_BYTES = 4 * 2 ** 20;

/** Bytes on their way; allocates nothing after its construction. */
class Fifo {
  readonly bytes = new Uint8Array(FIFO_BYTES);
  readonly view = new DataView(this.bytes.buffer);
  head = 0;
  tail = 0;

  get length(): number {
    return this.tail - this.head;
  }

  make(len: number): number {
    if (this.head === this.tail && this.head > 0) {
      // Never back to 0: an empty input that was used tells a script that the connection is not new.
      this.head = this.tail = 1;
    } else if (this.head > 0 && this.tail + len > FIFO_BYTES) {
      this.bytes.copyWithin(0, this.head, this.tail);
      this.tail -= this.head;
      this.head = 0;
    }
    invariant(this.tail + len <= FIFO_BYTES, 'the test sends more than its fifo holds');
    this.tail += len;
    return this.tail - len;
  }

  push(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.make(bytes.length));
  }

  take(len: number): Uint8Array {
    const bytes = this.bytes.slice(this.head, this.head + len);
    this.head += bytes.length;
    return bytes;
  }
}

/** One connection, as the server sees it. */
export class Peer {
  /** What the client has sent, and what it will receive. */
  readonly input = new Fifo();
  readonly output = new Fifo();
  /** The receive under way; tag 0 = none. */
  readonly receive = { tag: 0, buf: 0, len: 0, all: false };
  /** Sends are kept back, so that their memory stays in use. */
  holdsSends = false;
  readonly heldSends: { tag: number; bytes: number }[] = [];
  isEnded = false;
  isShut = false;
}

/** Answers what the client sends. */
export type ServerScript = (peer: Peer, number: number) => void;

/**
 * A ring with an NBD server in it, for tests of the client: a script sees every connection and every byte, and answers what
 * it likes. Time stands still, nothing blocks, and a socket that is closed twice or too early fails an invariant.
 */
export class ServerRing implements Ring, RingSockets {
  readonly sq = new Int32Array(ENTRIES * SQ_WORDS);
  readonly cq = new Int32Array(4 * ENTRIES * CQ_WORDS);
  readonly iov = new Int32Array(ENTRIES * IOV_WORDS);
  /** By descriptor. */
  readonly peers = new Map<number, Peer>();
  /** Every connection so far. */
  readonly all: Peer[] = [];
  /** Errno of the next connects; 0 = works. */
  refuse = 0;
  kick: () => void = () => {};
  private readonly u8: Uint8Array;
  private nextFd = 3;
  private results = 0;

  constructor(
    readonly arena: ArrayBuffer,
    public script: ServerScript,
  ) {
    this.u8 = new Uint8Array(arena);
  }

  tick(nOps: number): number {
    for (let i = 0; i < nOps; i++) this.start(i * SQ_WORDS);
    for (const peer of this.peers.values()) this.progress(peer);
    const n = this.results;
    this.results = 0;
    return n;
  }

  attach(): void {}
  detach(): void {}
  wake(): void {}
  run(): never {
    invariant(false, 'a scripted server blocks nobody');
  }

  /** The connection breaks now. */
  cut(peer: Peer): void {
    peer.isEnded = true;
    this.kick();
  }

  letSendsGo(peer: Peer): void {
    peer.holdsSends = false;
    this.kick();
  }

  async listen(): Promise<number> {
    return -EINVAL;
  }
  create(): number {
    this.peers.set(this.nextFd, new Peer());
    return this.nextFd++;
  }
  encode(): Uint8Array {
    return new Uint8Array(16);
  }
  localAddress(): NetAddress {
    return { path: '/client' };
  }
  remoteName(): string {
    return 'a scripted server';
  }
  tune(): void {}
  close(fd?: number): void {
    if (fd !== undefined) this.peers.delete(fd);
  }

  private start(at: number): void {
    const { sq } = this;
    const tag = sq[at + 7]!;
    const code = sq[at]!;
    if (code === RING_CANCEL) return this.answer(tag, 0);
    const fd = sq[at + 1]!;
    const peer = this.peers.get(fd);
    invariant(peer, 'an operation on a descriptor that is closed');
    if (code === RING_CONNECT) this.connect(peer, tag);
    else if (code === RING_SENDMSG) this.sendMessage(peer, tag, sq[at + 2]!, sq[at + 3]!);
    else if (code === RING_RECV) {
      const { receive } = peer;
      invariant(receive.tag === 0, 'two receives on one socket');
      receive.tag = tag;
      receive.buf = sq[at + 2]!;
      receive.len = sq[at + 3]!;
      receive.all = (sq[at + 6]! & 0x100) !== 0;
    } else if (code === RING_SHUTDOWN) {
      peer.isShut = true;
      this.answer(tag, 0);
    } else if (code === RING_CLOSE) {
      invariant(peer.receive.tag === 0 && peer.heldSends.length === 0, 'closed with an operation under way');
      this.peers.delete(fd);
      this.answer(tag, 0);
    } else this.answer(tag, -EINVAL);
  }

  private connect(peer: Peer, tag: number): void {
    this.answer(tag, -this.refuse);
    if (this.refuse === 0) this.script(peer, this.all.push(peer) - 1);
  }

  private sendMessage(peer: Peer, tag: number, first: number, count: number): void {
    let bytes = 0;
    for (let i = first; i < first + count; i++) {
      const from = this.iov[i * IOV_WORDS]!;
      const len = this.iov[i * IOV_WORDS + 1]!;
      const to = peer.input.make(len);
      for (let n = 0; n < len; n++) peer.input.bytes[to + n] = this.u8[from + n]!;
      bytes += len;
    }
    if (peer.holdsSends) peer.heldSends.push({ tag, bytes });
    else this.answer(tag, peer.isEnded || peer.isShut ? -EPIPE : bytes);
    this.script(peer, this.all.indexOf(peer));
  }

  private progress(peer: Peer): void {
    if (peer.heldSends.length > 0 && (!peer.holdsSends || peer.isShut)) this.endSends(peer);
    const { receive, output } = peer;
    if (receive.tag === 0) return;
    const isOver = peer.isEnded || peer.isShut;
    const n = Math.min(receive.len, output.length);
    if (!isOver && (n === 0 || (receive.all && n < receive.len))) return;
    for (let i = 0; i < n; i++) this.u8[receive.buf + i] = output.bytes[output.head + i]!;
    output.head += n;
    this.answer(receive.tag, n);
    receive.tag = 0;
  }

  private endSends(peer: Peer): void {
    for (const { tag, bytes } of peer.heldSends.splice(0)) this.answer(tag, peer.isShut ? -EPIPE : bytes);
  }

  private answer(tag: number, result: number): void {
    this.cq[this.results * CQ_WORDS] = tag;
    this.cq[this.results++ * CQ_WORDS + 1] = result;
  }
}

export interface HostServices {
  tls?: TlsEndpoint;
}

/** A host for the test kit whose only network is a scripted server. */
export function scriptedServer(script: ServerScript, { tls }: HostServices = {}) {
  let last: ServerRing | null = null;
  const makeHost = async (): Promise<HostParts> => {
    const clock = new VirtualDriver();
    const arena = new DebugArena(new ArrayBuffer(8 * 2 ** 20));
    const loop = new Loop(clock, arena, 512);
    const ring = (last = new ServerRing(arena.memory as ArrayBuffer, script));
    loop.useRing(new RingQueue(ring, ring));
    ring.kick = () => loop.kick();
    const parts = {
      clock,
      loop,
      arena,
      container: composeServices(container.createChildContainer(), {
        loop,
        random: createRandom(1),
        ...(tls === undefined ? {} : { tls }),
      }),
      runFor: async (ms: number) => {
        // Reconnecting goes through promises, which the clock alone does not turn.
        for (let left = ms; left > 0; left -= 10) await clock.settle(loop.sleep(Math.min(10, left)));
      },
      settle: <T>(promise: Promise<T>) => clock.settle(promise),
    };
    return parts;
  };
  const ring = (): ServerRing => {
    invariant(last !== null, 'no kit was opened on this host');
    return last;
  };
  return { makeHost, ring };
}

/** One request as the server reads it; null while it is not complete. */
export interface SeenRequest {
  flags: number;
  type: number;
  cookie: Uint8Array;
  offset: number;
  length: number;
  payload: Uint8Array;
}

export function takeRequest({ input }: Peer): SeenRequest | null {
  if (input.length < REQUEST_BYTES) return null;
  const { view, head } = input;
  invariant(view.getUint32(head) === REQUEST_MAGIC, 'the client sent something that is no request');
  const type = view.getUint16(head + 6);
  const length = view.getUint32(head + 24);
  const payloadBytes = type === 1 ? length : 0;
  if (input.length < REQUEST_BYTES + payloadBytes) return null;
  const bytes = input.take(REQUEST_BYTES + payloadBytes);
  const copy = new DataView(bytes.buffer);
  return {
    flags: copy.getUint16(4),
    type,
    cookie: bytes.slice(8, 16),
    offset: copy.getUint32(16) * 2 ** 32 + copy.getUint32(20),
    length,
    payload: bytes.slice(REQUEST_BYTES),
  };
}

// ------------------------------------------------------------------------------------------------------ what servers say

export function bytesOf(...parts: (['u16' | 'u32' | 'u64', number] | Uint8Array | string)[]): Uint8Array {
  return Buffer.concat(
    parts.map((part) => {
      if (typeof part === 'string') return Buffer.from(part, 'latin1');
      if (part instanceof Uint8Array) return part;
      const bytes = Buffer.alloc(part[0] === 'u16' ? 2 : part[0] === 'u32' ? 4 : 8);
      if (part[0] === 'u16') bytes.writeUInt16BE(part[1]);
      else if (part[0] === 'u32') bytes.writeUInt32BE(part[1]);
      else bytes.writeBigUInt64BE(BigInt(part[1]));
      return bytes;
    }),
  );
}

/** Bytes of a greeting. */
export const GREETING = 18;

export function greeting(flags = 3): Uint8Array {
  return bytesOf('NBDMAGICIHAVEOPT', ['u16', flags]);
}

export function optionReply(option: number, type: number, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  return bytesOf(['u32', 0x0003e889], ['u32', 0x045565a9], ['u32', option], ['u32', type], ['u32', data.length], data);
}

/** Everything: flush, FUA, trim, zeroes, DF, multi-conn, cache, fast zero. */
export const ALL_FLAGS = 0b110111101101;
export const CONTEXT_ID = 77;

export interface ExportText {
  sizeBytes?: number;
  flags?: number;
  blocks?: [number, number, number];
  structured?: boolean;
}

/** A whole handshake: it may be sent before the client has asked for anything. */
export function handshake({
  sizeBytes = 2 ** 20,
  flags = ALL_FLAGS,
  blocks,
  structured = true,
}: ExportText = {}): Uint8Array {
  const info = bytesOf(['u16', 0], ['u64', sizeBytes], ['u16', flags]);
  const sizes = blocks && bytesOf(['u16', 3], ...blocks.map((n): ['u32', number] => ['u32', n]));
  return Buffer.concat([
    greeting(),
    optionReply(8, structured ? 1 : 2 ** 31 + 1),
    ...(structured ? [optionReply(10, 4, bytesOf(['u32', CONTEXT_ID], 'base:allocation')), optionReply(10, 1)] : []),
    optionReply(7, 3, info),
    ...(sizes ? [optionReply(7, 3, sizes)] : []),
    optionReply(7, 1),
  ]);
}

export function simpleReply(cookie: Uint8Array, error = 0, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  return bytesOf(['u32', 0x67446698], ['u32', error], cookie, data);
}

export function chunk(cookie: Uint8Array, type: number, body: Uint8Array, isLast = true): Uint8Array {
  return bytesOf(['u32', 0x668e33ef], ['u16', isLast ? 1 : 0], ['u16', type], cookie, ['u32', body.length], body);
}

/** Drops the bytes of the client's half of a handshake, so that what follows are requests. */
export function skipHandshake(peer: Peer): void {
  const { input } = peer;
  for (;;) {
    if (input.length >= 4 && input.view.getUint32(input.head) === 3) input.head += 4;
    else if (input.length >= 16 && input.view.getUint32(input.head) === 0x49484156) {
      input.head += 16 + input.view.getUint32(input.head + 12);
    } else return;
  }
}

/**
 * Answers all requests at once, reads with whatever is in the fifo, and allocates nothing once the handshake is over: for the
 * measurement of what the client allocates.
 */
export function swiftServer(): ServerScript {
  return (peer) => {
    const { input, output } = peer;
    if (input.tail === 0) return output.push(handshake({ structured: false }));
    skipHandshake(peer);
    while (input.length >= REQUEST_BYTES) {
      const { view, head } = input;
      const type = view.getUint16(head + 6);
      const length = view.getUint32(head + 24);
      input.head += REQUEST_BYTES + (type === 1 ? length : 0);
      const at = output.make(16 + (type === 0 ? length : 0));
      output.view.setUint32(at, 0x67446698);
      output.view.setUint32(at + 4, 0);
      output.view.setInt32(at + 8, view.getInt32(head + 8));
      output.view.setInt32(at + 12, view.getInt32(head + 12));
    }
  };
}
