import { EAGAIN } from '../errno.js';
import { invariant } from '../invariant.js';
import { DEFAULT_RING_TAGS } from '../limits.js';
import type { RingSockets } from './ring-sockets.js';
import { reportFault, type FaultOwner } from '../loop/fault.js';
import type { Batcher, Loop, TickSource } from '../loop/loop.js';
import {
  CQ_WORDS,
  IOV_WORDS,
  RING_ACCEPT,
  RING_CANCEL,
  RING_CANCEL_ALL,
  RING_CANCEL_FD,
  RING_CLOSE,
  RING_COMPARE,
  RING_CONNECT,
  RING_COPY,
  RING_FALLOCATE,
  RING_FSYNC,
  RING_HASH,
  RING_INLINE,
  RING_NOP,
  RING_POLL,
  RING_QUIET,
  RING_READ,
  RING_READV,
  RING_RECV,
  RING_SENDMSG,
  RING_SHUTDOWN,
  RING_SYNC_RANGE,
  RING_TIMEOUT,
  RING_WRITE,
  RING_WRITEV,
  RING_ZERO,
  SQ_WORDS,
  type Ring,
} from './ring.js';

/**
 * Where an operation works: read from fields, never passed as an argument, because a position above 2^30 given to a
 * function that is not inlined would be boxed. An `XioObject` is one.
 */
export interface RingPlace {
  /** File position, bytes; -1 = the current one (pipes, /dev/fuse). */
  readonly pos: number;
  /** Bytes; looked at by `fallocate` and `syncRange` only. */
  readonly len: number;
}

/** Who gets the result of an operation. One that has `onFault` is told when its `ringDone` threw; else the process stops. */
export interface RingClient extends Partial<FaultOwner> {
  /**
   * Called once per operation, from inside a tick. It may submit again.
   * @param token  the number given with the operation
   * @param result as the system call: bytes, a descriptor, 0 … or a negative errno. Reads and writes may be short.
   * @param place  the object given with the operation; null for operations without a position
   */
  ringDone(token: number, result: number, place: RingPlace | null): void;
}

/** Completions with this tag belong to quiet operations; they come only when one of those was wrong. */
const QUIET_TAG = 0;

/**
 * The bricks' side of a {@link Ring}; reached as `this.ctx.loop.ring`. Allocates nothing per operation.
 *
 * ```ts
 * class MyEnd extends BrickBase implements RingClient {
 *   io(o) { if (this.ring.read(this.fd, o.buf, o.len, o, this, 0) < 0) this.keep(o); }       // -1: no room now
 *   ringDone(token, result, place) { this.ctx.loop.finish(place as XioObject, result < 0 ? result : 0); }
 * }
 * ```
 * Rules:
 * - An operation is only noted down here; all of a tick leave together, in the order of the calls, at its end.
 * - Every operation returns its tag (> 0; for {@link cancel}), or -1 when {@link available} is 0: keep the request, call
 *   {@link awaitRoom}, and try again in `endBatch`. That is the only bound; a full `sq` is absorbed by an overflow queue.
 * - Memory named by an operation is yours again when `ringDone` was called, vectors as soon as the tick is over.
 * - Operations of one tick run in any order and at the same time, except `hash`, `copy`, `zero` and `compare`: those are
 *   done, in order, before the kernel sees any operation of the same tick. So copy-then-write works, read-then-hash needs two.
 * - Results arrive once; after `ringDone` the tag is somebody else's.
 * - `close` does not end operations that wait on the descriptor: `shutdown` or `cancelFd` first, close when they have completed.
 */
export class RingQueue implements TickSource {
  private readonly sqOps: number;
  private readonly vectors: number;
  private readonly clients: (RingClient | null)[] = [];
  private readonly places: (RingPlace | null)[] = [];
  private readonly tokens: Int32Array;
  private readonly freeTags: Int32Array;
  /** 1 for a tag whose operation changes a file. */
  private readonly stores: Uint8Array;
  private storeCount = 0;
  private freeCount: number;
  /** Descriptors in `sq` that the ring has not seen. */
  private queued = 0;
  /** Descriptors that did not fit into `sq`, oldest first; as long as there are any, new ones go to the end of this queue. */
  private readonly overflow: Int32Array;
  private overflowHead = 0;
  private overflowCount = 0;
  /** Completions in `cq` that were not delivered. */
  private ready = 0;
  private vectorUsed = 0;
  private selfDriven = true;
  private loop: Loop | null = null;
  private waiting: Batcher[] = [];
  private calls = 0;
  private readonly callResolvers = new Map<number, (result: number) => void>();

  /**
   * @param sockets how to come by sockets for this ring; null where there is no network
   * @param tags    operations under way at the same time, all bricks of the loop together
   */
  constructor(
    readonly ring: Ring,
    readonly sockets: RingSockets | null = null,
    readonly tags: number = DEFAULT_RING_TAGS,
  ) {
    this.sqOps = ring.sq.length / SQ_WORDS;
    this.vectors = ring.iov.length / IOV_WORDS;
    this.tokens = new Int32Array(tags + 1);
    this.freeTags = new Int32Array(tags);
    this.stores = new Uint8Array(tags + 1);
    // Quiet operations have no tag of their own, so the overflow queue needs room beyond the tags: twice is their bound.
    this.overflow = new Int32Array(2 * tags * SQ_WORDS);
    this.freeCount = tags;
    for (let i = 0; i < tags; i++) this.freeTags[i] = tags - i;
    for (let tag = 0; tag <= tags; tag++) {
      this.clients.push(null);
      this.places.push(null);
    }
  }

  /** Called by `Loop.useRing`. */
  bind(loop: Loop): void {
    this.loop = loop;
  }

  /** Operations that can still be submitted before one completes. */
  get available(): number {
    return this.freeCount;
  }

  /**
   * Writes of files among them, but for those with RING_INLINE. The kernel hands buffered ones to a thread of its own on some file
   * systems (ext4): a driver that spins meanwhile takes that thread's processor away.
   */
  get storesInFlight(): number {
    return this.storeCount;
  }

  /** Operations whose `ringDone` has not been called. */
  get inFlight(): number {
    return this.tags - this.freeCount;
  }

  // ------------------------------------------------------------------------------------------------------------ files

  /** @param flags RING_DSYNC and other RWF_* */
  read(fd: number, buf: number, len: number, place: RingPlace, client: RingClient, token: number, flags = 0): number {
    return this.placed(RING_READ, fd, buf, len, place, flags, client, token);
  }

  /** @param flags RING_DSYNC: durable when done; RING_INLINE */
  write(fd: number, buf: number, len: number, place: RingPlace, client: RingClient, token: number, flags = 0): number {
    return this.placed(RING_WRITE, fd, buf, len, place, flags, client, token);
  }

  /** @param vector from {@link vector}, filled with {@link span} */
  readv(
    fd: number,
    vector: number,
    count: number,
    place: RingPlace,
    client: RingClient,
    token: number,
    flags = 0,
  ): number {
    return this.placed(RING_READV, fd, vector, count, place, flags, client, token);
  }

  writev(
    fd: number,
    vector: number,
    count: number,
    place: RingPlace,
    client: RingClient,
    token: number,
    flags = 0,
  ): number {
    return this.placed(RING_WRITEV, fd, vector, count, place, flags, client, token);
  }

  /** @param flags RING_DATASYNC: without the times of the file */
  fsync(fd: number, flags: number, client: RingClient, token: number): number {
    return this.plain(RING_FSYNC, fd, 0, 0, flags, client, token);
  }

  /**
   * Allocates, zeroes or frees `place.pos`, `place.len` (any length).
   * @param mode FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_ZERO_RANGE or 0
   */
  fallocate(fd: number, mode: number, place: RingPlace, client: RingClient, token: number): number {
    const { len } = place;
    return this.placed(RING_FALLOCATE, fd, upper(len), lower(len), place, mode, client, token);
  }

  /** Starts or awaits write-back of a range; never makes anything durable. `flags`: RING_SYNC_RANGE_*. */
  syncRange(fd: number, flags: number, place: RingPlace, client: RingClient, token: number): number {
    return this.placed(RING_SYNC_RANGE, fd, 0, lower(place.len), place, flags, client, token);
  }

  // ---------------------------------------------------------------------------------------------------------- sockets

  /** @param flags RING_MSG_WAITALL: completes only when everything is sent */
  send(fd: number, vector: number, count: number, flags: number, client: RingClient, token: number): number {
    return this.plain(RING_SENDMSG, fd, vector, count, flags, client, token);
  }

  /** Result 0 = the peer has ended. `flags`: RING_MSG_WAITALL waits for all `len` bytes. */
  recv(fd: number, buf: number, len: number, flags: number, client: RingClient, token: number): number {
    return this.plain(RING_RECV, fd, buf, len, flags, client, token);
  }

  /** Result: the new connection's descriptor. */
  accept(fd: number, client: RingClient, token: number): number {
    return this.plain(RING_ACCEPT, fd, 0, 0, 0, client, token);
  }

  /** `buf`, `len`: the address in the arena, as `sockets.encode` gives it. */
  connect(fd: number, buf: number, len: number, client: RingClient, token: number): number {
    return this.plain(RING_CONNECT, fd, buf, len, 0, client, token);
  }

  close(fd: number, client: RingClient, token: number): number {
    return this.plain(RING_CLOSE, fd, 0, 0, 0, client, token);
  }

  /** `how`: RING_SHUT_*. A pending `recv` of this socket then completes. */
  shutdown(fd: number, how: number, client: RingClient, token: number): number {
    return this.plain(RING_SHUTDOWN, fd, 0, 0, how, client, token);
  }

  /** Result: the ready RING_POLL_* events. */
  poll(fd: number, events: number, client: RingClient, token: number): number {
    return this.plain(RING_POLL, fd, 0, 0, events, client, token);
  }

  // --------------------------------------------------------------------------------------------------- time and control

  /** Result -ETIME when the time is over. Bricks use the loop's clock; this is for what must wake a blocked thread. */
  timeout(afterUs: number, client: RingClient, token: number): number {
    const tag = this.take(client, null, token);
    if (tag > 0) this.put(RING_TIMEOUT, -1, 0, 0, lower(afterUs * 1000), upper(afterUs * 1000), 0, tag);
    return tag;
  }

  /** Result 0, -ENOENT or -EALREADY; the cancelled operation completes by itself, as a rule with -ECANCELED. */
  cancel(tagToCancel: number, client: RingClient, token: number): number {
    return this.plain(RING_CANCEL, -1, tagToCancel, 0, 0, client, token);
  }

  /** Cancels every operation on a descriptor; result: how many. */
  cancelFd(fd: number, client: RingClient, token: number): number {
    return this.plain(RING_CANCEL, fd, 0, 0, RING_CANCEL_FD | RING_CANCEL_ALL, client, token);
  }

  nop(client: RingClient, token: number): number {
    return this.plain(RING_NOP, -1, 0, 0, 0, client, token);
  }

  // ----------------------------------------------------------------------------------------------------------- memory

  /**
   * Digest of `len` bytes at `buf`, written to `into`. Without a client it is quiet: the digest is there for the I/O of
   * this same tick, and nobody is told.
   * @param kind RING_HASH_*
   * @returns the tag, 0 when quiet, -1 when there is no room
   */
  hash(kind: number, buf: number, len: number, into: number, client: RingClient | null = null, token = 0): number {
    return this.inline(RING_HASH, buf, len, into, kind, client, token);
  }

  /** memmove; quiet without a client. */
  copy(from: number, to: number, len: number, client: RingClient | null = null, token = 0): number {
    return this.inline(RING_COPY, from, len, to, 0, client, token);
  }

  /** Zeroes; quiet without a client. */
  zero(buf: number, len: number, client: RingClient | null = null, token = 0): number {
    return this.inline(RING_ZERO, buf, len, 0, 0, client, token);
  }

  /** Result 0 = equal, else 1 + index of the first difference. */
  compare(one: number, other: number, len: number, client: RingClient, token: number): number {
    return this.inline(RING_COMPARE, one, len, other, 0, client, token);
  }

  /**
   * Room for `count` spans, valid for the operations of this tick. @returns index of the first; -1 = no room, as for operations
   */
  vector(count: number): number {
    if (this.vectorUsed + count > this.vectors) return -1;
    const first = this.vectorUsed;
    this.vectorUsed += count;
    return first;
  }

  /** Sets span `index` of a vector: `len` bytes at arena offset `buf`. */
  span(vector: number, index: number, buf: number, len: number): void {
    const at = (vector + index) * IOV_WORDS;
    this.ring.iov[at] = buf;
    this.ring.iov[at + 1] = len;
  }

  // ------------------------------------------------------------------------------------------------------ back-pressure

  /** After a -1: plugs `b` (so its `endBatch` runs) as soon as there is room. Asking again before that changes nothing. */
  awaitRoom(b: Batcher): void {
    if (!this.waiting.includes(b)) this.waiting.push(b);
  }

  /**
   * Cold path (start, stop, tests): the result of one operation as a promise.
   * `await ring.call((client, token) => ring.fsync(fd, 0, client, token))`; -EAGAIN when there was no room.
   */
  call(submit: (client: RingClient, token: number) => number): Promise<number> {
    const token = (this.calls = (this.calls + 1) & 0x3fffffff);
    return new Promise((resolve) => {
      this.callResolvers.set(token, resolve);
      if (submit(this.caller, token) < 0) this.resolveCall(token, -EAGAIN);
    });
  }

  private readonly caller: RingClient = { ringDone: (token, result) => this.resolveCall(token, result) };

  private resolveCall(token: number, result: number): void {
    this.callResolvers.get(token)!(result);
    this.callResolvers.delete(token);
  }

  // ---------------------------------------------------------------------------------------------------- turning (Loop)

  /**
   * From now on the driver calls {@link turn} before each tick, and the ring is not touched within ticks: one crossing per tick.
   */
  driveFromOutside(): void {
    this.selfDriven = false;
  }

  /** For the driver: submits what is queued, waits, and keeps what completed for the next `reap`. See `Ring.tick`. */
  turn(waitUs: number): number {
    invariant(this.ready === 0, 'ring: turn() before the last completions were delivered');
    this.ready = this.cross(waitUs);
    return this.ready;
  }

  /** Operations noted down and not yet handed to the ring: the driver must not wait for long. */
  get pending(): number {
    return this.queued + this.overflowCount;
  }

  reap(): number {
    let events = this.deliver();
    // A wake-up may belong to completions that came after those we just delivered; nobody will tell us about them again.
    if (this.selfDriven && this.inFlight > 0) {
      this.ready = this.ring.tick(0, 0);
      events += this.deliver();
    }
    if (this.waiting.length > 0 && this.freeCount > 0) this.giveRoom();
    return events;
  }

  /** @returns true when another tick is needed soon: completions are there, or operations that did not fit */
  submit(): boolean {
    if (this.selfDriven && this.queued > 0) this.ready = this.cross(0);
    if (this.queued === 0) this.vectorUsed = 0;
    return this.ready > 0 || (this.selfDriven && this.queued > 0);
  }

  private cross(waitUs: number): number {
    const n = this.ring.tick(this.queued, this.overflowCount > 0 ? 0 : waitUs);
    this.queued = 0;
    if (this.overflowCount === 0) this.vectorUsed = 0;
    else this.refill();
    return n;
  }

  private deliver(): number {
    const { cq } = this.ring;
    const n = this.ready;
    for (let i = 0; i < n; i++) this.completed(cq[i * CQ_WORDS]!, cq[i * CQ_WORDS + 1]!);
    this.ready = 0;
    return n;
  }

  private completed(tag: number, result: number): void {
    invariant(tag !== QUIET_TAG, 'ring: a quiet memory operation was outside the arena');
    const client = this.clients[tag];
    invariant(client, 'ring: completion of a tag that is not in flight');
    const place = this.places[tag]!;
    this.clients[tag] = null;
    this.places[tag] = null;
    this.freeTags[this.freeCount++] = tag;
    this.storeCount -= this.stores[tag]!;
    this.stores[tag] = 0;
    try {
      client.ringDone(this.tokens[tag]!, result, place);
    } catch (error) {
      reportFault(client, error, place);
    }
  }

  private giveRoom(): void {
    const waiting = this.waiting;
    this.waiting = [];
    for (const b of waiting) this.loop!.plug(b);
  }

  // -------------------------------------------------------------------------------------------------------- descriptors

  private placed(
    code: number,
    fd: number,
    buf: number,
    len: number,
    place: RingPlace,
    flags: number,
    client: RingClient,
    token: number,
  ): number {
    const tag = this.take(client, place, token);
    if (tag > 0) {
      if ((code === RING_WRITE || code === RING_WRITEV) && !(flags & RING_INLINE)) {
        this.stores[tag] = 1;
        this.storeCount++;
      }
      const { pos } = place;
      this.put(code, fd, buf, len, lower(pos), upper(pos), flags, tag);
    }
    return tag;
  }

  private plain(
    code: number,
    fd: number,
    buf: number,
    len: number,
    flags: number,
    client: RingClient,
    token: number,
  ): number {
    const tag = this.take(client, null, token);
    if (tag > 0) this.put(code, fd, buf, len, 0, 0, flags, tag);
    return tag;
  }

  private inline(
    code: number,
    buf: number,
    len: number,
    other: number,
    flags: number,
    client: RingClient | null,
    token: number,
  ): number {
    if (client === null) {
      if (this.overflowCount >= this.tags) return -1;
      this.put(code, -1, buf, len, other, 0, flags | RING_QUIET, QUIET_TAG);
      return 0;
    }
    const tag = this.take(client, null, token);
    if (tag > 0) this.put(code, -1, buf, len, other, 0, flags, tag);
    return tag;
  }

  private take(client: RingClient, place: RingPlace | null, token: number): number {
    if (this.freeCount === 0) return -1;
    const tag = this.freeTags[--this.freeCount]!;
    this.clients[tag] = client;
    this.places[tag] = place;
    this.tokens[tag] = token;
    return tag;
  }

  private put(
    code: number,
    fd: number,
    buf: number,
    len: number,
    lo: number,
    hi: number,
    flags: number,
    tag: number,
  ): void {
    const direct = this.overflowCount === 0 && this.queued < this.sqOps;
    const words = direct ? this.ring.sq : this.overflow;
    let at = direct ? this.queued++ * SQ_WORDS : this.overflowSlot() * SQ_WORDS;
    words[at++] = code;
    words[at++] = fd;
    words[at++] = buf;
    words[at++] = len;
    words[at++] = lo;
    words[at++] = hi;
    words[at++] = flags;
    words[at] = tag;
    this.loop?.kick();
  }

  private overflowSlot(): number {
    invariant(this.overflowCount < 2 * this.tags, 'ring: overflow queue is full');
    return (this.overflowHead + this.overflowCount++) % (2 * this.tags);
  }

  private refill(): void {
    const n = Math.min(this.overflowCount, this.sqOps);
    for (let i = 0; i < n; i++) {
      const from = this.overflowHead * SQ_WORDS;
      const to = i * SQ_WORDS;
      for (let word = 0; word < SQ_WORDS; word++) this.ring.sq[to + word] = this.overflow[from + word]!;
      this.overflowHead = (this.overflowHead + 1) % (2 * this.tags);
    }
    this.overflowCount -= n;
    this.queued = n;
  }
}

/** Lower 32 bits as an int; exact for every integer that a double holds. */
function lower(value: number): number {
  return value | 0;
}

/** Upper 32 bits as an int. */
function upper(value: number): number {
  return Math.floor(value / 2 ** 32) | 0;
}
