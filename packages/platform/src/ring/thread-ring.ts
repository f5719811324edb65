import * as fs from 'node:fs';
import {
  CQ_WORDS,
  EALREADY,
  EBUSY,
  ECANCELED,
  EFAULT,
  EINVAL,
  EIO,
  ENOENT,
  EOPNOTSUPP,
  ErrorCode,
  ETIME,
  invariant,
  IOV_WORDS,
  MarsError,
  RING_ACCEPT,
  RING_CANCEL,
  RING_CANCEL_ALL,
  RING_CANCEL_FD,
  RING_CLOSE,
  RING_CONNECT,
  RING_DATASYNC,
  RING_DSYNC,
  RING_FALLOCATE,
  RING_FSYNC,
  RING_HASH,
  RING_MSG_WAITALL,
  RING_NOP,
  RING_POLL,
  RING_QUIET,
  RING_READ,
  RING_READV,
  RING_RECV,
  RING_SENDMSG,
  RING_SHUT_RD,
  RING_SHUT_WR,
  RING_SHUTDOWN,
  RING_SYNC_RANGE,
  RING_TIMEOUT,
  RING_WRITE,
  RING_WRITEV,
  SQ_WORDS,
  type Ring,
} from '@mars/brick-core';
import { errnoOf } from '../errors.js';
import { native } from '../native.js';
import { FIRST_HANDLE, SEND_MAX_BYTES, SPANS_PER_ENTRY, THREAD_RING_IN_FLIGHT } from './limits.js';
import { isInside, runMemoryOp } from './memory-ops.js';
import { ThreadHandles } from './thread-handles.js';
import { ThreadOp } from './thread-op.js';
import { ThreadListener, ThreadStream } from './thread-sockets.js';

/** Node's timers count to 2^31 - 1 ms; longer waits fire then, and are armed again. */
const TIMEOUT_MAX_MS = 2 ** 31 - 1;
const NS_PER_MS = 1e6;
const RWF_SYNC = 4;

export interface ThreadRingOptions {
  entries: number;
  arenaBytes: number;
}

/**
 * The ring for machines without io_uring: the same descriptors and results, carried out by Node's thread pool and sockets.
 *
 * What differs: it lives in an event loop, so {@link run} is refused and {@link tick} never waits; socket "descriptors" are handles
 * of this ring only; POLL answers -EOPNOTSUPP, and so does FALLOCATE where the addon is missing too.
 * Source: data-path.md 4; native/index.d.ts, OP (the table of results)
 */
export class ThreadRing implements Ring {
  readonly arena: ArrayBuffer;
  readonly sq: Int32Array;
  readonly cq: Int32Array;
  readonly iov: Int32Array;
  readonly handles: ThreadHandles;
  private readonly bytes: Uint8Array;
  private readonly entries: number;
  private readonly cqEntries: number;
  /** Results that the next tick hands over: tag, result pairs. Bounded by THREAD_RING_IN_FLIGHT plus one tick of inline results. */
  private readonly results: Int32Array;
  private resultHead = 0;
  private resultCount = 0;
  private readonly spareOps: ThreadOp[] = [];
  private readonly underWay = new Map<number, ThreadOp>();
  private inFlight = 0;
  private callback: (() => void) | null = null;
  private wakeUp: NodeJS.Immediate | null = null;
  private ticking = false;
  private closed = false;

  constructor(options: ThreadRingOptions) {
    this.entries = options.entries;
    this.cqEntries = 2 * options.entries;
    this.arena = alignedMemory(options.arenaBytes);
    this.bytes = new Uint8Array(this.arena);
    this.sq = new Int32Array(this.entries * SQ_WORDS);
    this.cq = new Int32Array(this.cqEntries * CQ_WORDS);
    this.iov = new Int32Array(this.entries * SPANS_PER_ENTRY * IOV_WORDS);
    this.results = new Int32Array((THREAD_RING_IN_FLIGHT + 2 * this.entries) * CQ_WORDS);
    this.handles = new ThreadHandles();
  }

  tick(nOps: number, _waitUs: number): number {
    invariant(!this.closed, 'ring: tick of a closed ring');
    invariant(nOps >= 0 && nOps <= this.entries, 'ring: nOps exceeds the entries');
    this.ticking = true;
    for (let i = 0; i < nOps; i++) this.start(i * SQ_WORDS);
    this.ticking = false;
    const n = Math.min(this.resultCount, this.cqEntries);
    for (let i = 0; i < n; i++) this.handOver(i * CQ_WORDS);
    if (this.resultCount > 0) this.schedule();
    return n;
  }

  run(): never {
    throw new MarsError(ErrorCode.NO_IO_URING, 'a thread cannot block in the thread-pool ring', {
      hint: 'Use the event loop (attach), or a kernel with io_uring.',
    });
  }

  attach(cb: () => void): void {
    invariant(this.callback === null, 'ring: attached twice');
    this.callback = cb;
    if (this.resultCount > 0) this.schedule();
  }

  detach(): void {
    this.callback = null;
    if (this.wakeUp !== null) clearImmediate(this.wakeUp);
    this.wakeUp = null;
  }

  wake(): void {
    this.schedule();
  }

  /** What runs in the thread pool still ends by itself, into memory that stays alive until then; nobody hears of it. */
  close(): void {
    this.closed = true;
    this.detach();
    for (const op of this.underWay.values()) if (op.timer !== null) clearTimeout(op.timer);
    this.handles.closeAll();
  }

  // ------------------------------------------------------------------------------------------------------- completions

  private handOver(to: number): void {
    this.cq[to] = this.results[this.resultHead]!;
    this.cq[to + 1] = this.results[this.resultHead + 1]!;
    this.resultHead = (this.resultHead + CQ_WORDS) % this.results.length;
    this.resultCount--;
  }

  private complete(tag: number, result: number): void {
    const at = (this.resultHead + this.resultCount * CQ_WORDS) % this.results.length;
    this.results[at] = tag;
    this.results[at + 1] = result;
    this.resultCount++;
    if (!this.ticking) this.schedule();
  }

  private schedule(): void {
    if (this.callback === null || this.wakeUp !== null) return;
    this.wakeUp = setImmediate(this.onWakeUp);
  }

  private readonly onWakeUp = (): void => {
    this.wakeUp = null;
    this.callback?.();
  };

  private readonly opDone = (op: ThreadOp, result: number): void => {
    if (this.closed) return;
    this.underWay.delete(op.tag);
    this.inFlight--;
    this.complete(op.tag, result);
    this.spareOps.push(op);
  };

  // --------------------------------------------------------------------------------------------------------- operations

  private start(at: number): void {
    const { sq } = this;
    const code = sq[at]!;
    const fd = sq[at + 1]!;
    const buf = sq[at + 2]!;
    const len = sq[at + 3]!;
    const offset = (sq[at + 4]! >>> 0) + sq[at + 5]! * 2 ** 32;
    const flags = sq[at + 6]!;
    const tag = sq[at + 7]!;
    if (code >= RING_HASH) {
      const result = runMemoryOp(this.bytes, code, buf, len, offset, flags);
      if (result !== 0 || !(flags & RING_QUIET)) this.complete(tag, result);
      return;
    }
    if (this.inFlight >= THREAD_RING_IN_FLIGHT) return this.complete(tag, -EBUSY);
    const op = this.spareOps.pop() ?? new ThreadOp(this.opDone);
    op.reset(tag, fd);
    this.underWay.set(tag, op);
    this.inFlight++;
    try {
      this.carryOut(op, code, fd, buf, len, offset, flags);
    } catch (error) {
      op.answer(argumentErrno(error)); // Node checks some arguments itself, and throws
    }
  }

  private carryOut(
    op: ThreadOp,
    code: number,
    fd: number,
    buf: number,
    len: number,
    offset: number,
    flags: number,
  ): void {
    switch (code) {
      case RING_NOP:
        return op.answer(0);
      case RING_READ:
      case RING_WRITE:
        return this.transfer(op, code, fd, buf, len, offset, flags);
      case RING_READV:
      case RING_WRITEV:
        return this.transferSpans(op, code, fd, buf, len, offset, flags);
      case RING_FSYNC:
        return flags & RING_DATASYNC ? fs.fdatasync(fd, op.onStatus) : fs.fsync(fd, op.onStatus);
      case RING_FALLOCATE:
        return op.answer(fallocate(fd, flags, offset, (len >>> 0) + buf * 2 ** 32));
      case RING_SYNC_RANGE:
        // Only more than asked for can be had: everything is written and awaited.
        return offset < 0 ? op.answer(-EINVAL) : fs.fdatasync(fd, op.onStatus);
      case RING_CLOSE:
        return fd >= FIRST_HANDLE ? op.answer(this.handles.close(fd)) : fs.close(fd, op.onStatus);
      case RING_TIMEOUT:
        return this.timeout(op, offset, flags);
      case RING_CANCEL:
        return op.answer(this.cancel(op, fd, buf, flags));
      default:
        return this.onSocket(op, code, fd, buf, len, flags);
    }
  }

  private transfer(op: ThreadOp, code: number, fd: number, buf: number, len: number, pos: number, flags: number): void {
    if (!isInside(this.bytes, buf, len)) return op.answer(-EFAULT);
    if (pos < -1) return op.answer(-EINVAL);
    const at = pos < 0 ? null : pos;
    op.sync = flags & RWF_SYNC ? 'all' : flags & RING_DSYNC ? 'data' : 'none';
    if (code === RING_READ) fs.read(fd, this.bytes, buf, len, at, op.onBytes);
    else fs.write(fd, this.bytes, buf, len, at, op.onWritten);
  }

  private transferSpans(
    op: ThreadOp,
    code: number,
    fd: number,
    first: number,
    count: number,
    pos: number,
    flags: number,
  ): void {
    const spans = this.spans(first, count);
    if (spans === null) return op.answer(-EFAULT);
    if (pos < -1) return op.answer(-EINVAL);
    const at = pos < 0 ? null : pos;
    op.sync = flags & RWF_SYNC ? 'all' : flags & RING_DSYNC ? 'data' : 'none';
    if (code === RING_READV) fs.readv(fd, spans, at, op.onBytes);
    else fs.writev(fd, spans, at, op.onWritten);
  }

  /** Views of elements [first, first + count) of the vector table; null when one of them is not inside the arena. */
  private spans(first: number, count: number): Uint8Array[] | null {
    if (first < 0 || count < 0 || (first + count) * IOV_WORDS > this.iov.length) return null;
    const spans: Uint8Array[] = [];
    for (let i = first; i < first + count; i++) {
      const offset = this.iov[i * IOV_WORDS]!;
      const length = this.iov[i * IOV_WORDS + 1]!;
      if (!isInside(this.bytes, offset, length)) return null;
      spans.push(this.bytes.subarray(offset, offset + length));
    }
    return spans;
  }

  private timeout(op: ThreadOp, ns: number, flags: number): void {
    if (ns < 0) return op.answer(-EINVAL);
    const ms = flags & 1 ? (ns - Number(process.hrtime.bigint())) / NS_PER_MS : ns / NS_PER_MS;
    this.waitMs(op, Math.max(0, Math.ceil(ms)));
  }

  private waitMs(op: ThreadOp, ms: number): void {
    op.timer = setTimeout(
      () => (ms > TIMEOUT_MAX_MS ? this.waitMs(op, ms - TIMEOUT_MAX_MS) : op.answer(-ETIME)),
      Math.min(ms, TIMEOUT_MAX_MS),
    );
  }

  /** What waits in this process is taken back; what the thread pool has begun is -EALREADY, and completes. */
  private cancel(self: ThreadOp, fd: number, tag: number, flags: number): number {
    const isWanted = (op: ThreadOp): boolean => op !== self && (flags & RING_CANCEL_FD ? op.fd === fd : op.tag === tag);
    const wanted = [...this.underWay.values()].filter(isWanted);
    const some = flags & RING_CANCEL_ALL ? wanted : wanted.slice(0, 1);
    const cancelled = some.filter((op) => this.withdraw(op)).length;
    if (flags & RING_CANCEL_ALL) return cancelled;
    if (some.length === 0) return -ENOENT;
    return cancelled === 1 ? 0 : -EALREADY;
  }

  private withdraw(op: ThreadOp): boolean {
    if (op.timer !== null) clearTimeout(op.timer);
    else if (op.withdraw === null || !op.withdraw(op.answer)) return false;
    op.answer(-ECANCELED);
    return true;
  }

  // ------------------------------------------------------------------------------------------------------------ sockets

  private onSocket(op: ThreadOp, code: number, fd: number, buf: number, len: number, flags: number): void {
    if (
      code !== RING_ACCEPT &&
      code !== RING_CONNECT &&
      code !== RING_RECV &&
      code !== RING_SENDMSG &&
      code !== RING_SHUTDOWN
    ) {
      return op.answer(code === RING_POLL ? -EOPNOTSUPP : -EINVAL);
    }
    const handle = this.handles.get(fd);
    if (typeof handle === 'number') return op.answer(handle);
    op.withdraw = (answer) => handle.withdraw(answer);
    if (handle instanceof ThreadListener) return this.onListener(op, code, handle);
    return this.onStream(op, code, handle, buf, len, flags);
  }

  private onListener(op: ThreadOp, code: number, listener: ThreadListener): void {
    if (code === RING_ACCEPT) listener.accept(op.answer);
    else op.answer(code === RING_SHUTDOWN ? listener.shutdown() : -EINVAL);
  }

  private onStream(op: ThreadOp, code: number, stream: ThreadStream, buf: number, len: number, flags: number): void {
    if (code === RING_SHUTDOWN) return op.answer(stream.shutdown(flags !== RING_SHUT_WR, flags !== RING_SHUT_RD));
    if (code === RING_SENDMSG) return this.send(op, stream, buf, len);
    if (code === RING_ACCEPT) return op.answer(-EINVAL);
    if (!isInside(this.bytes, buf, len)) return op.answer(-EFAULT);
    if (code === RING_CONNECT) {
      const address = this.handles.decode(this.bytes.subarray(buf, buf + len));
      return address === null ? op.answer(-EINVAL) : stream.connect(address, op.answer);
    }
    stream.recv(this.bytes, buf, len, (flags & RING_MSG_WAITALL) !== 0, op.answer);
  }

  private send(op: ThreadOp, stream: ThreadStream, first: number, count: number): void {
    const spans = this.spans(first, count);
    if (spans === null) return op.answer(-EFAULT);
    const total = spans.reduce((sum, span) => sum + span.length, 0);
    if (total > SEND_MAX_BYTES) return op.answer(-EINVAL);
    // A copy: a send that is cut off by CLOSE completes, and its memory is re-used, while Node may still hold the bytes.
    stream.send(Buffer.concat(spans, total), op.answer);
  }
}

/** Not in the type library that we compile against. */
declare const WebAssembly: { Memory: new (pages: { initial: number; maximum: number }) => { buffer: ArrayBuffer } };
const WASM_PAGE_BYTES = 64 * 1024;

/**
 * Memory that begins at a page, as direct I/O wants it (EINVAL otherwise): a plain ArrayBuffer begins behind the header of its
 * allocation, a memory of WebAssembly never does. Other sizes than whole 64 KiB are plain.
 */
function alignedMemory(bytes: number): ArrayBuffer {
  if (bytes % WASM_PAGE_BYTES !== 0) return new ArrayBuffer(bytes);
  const pages = bytes / WASM_PAGE_BYTES;
  return new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer;
}

function fallocate(fd: number, mode: number, pos: number, len: number): number {
  if (pos < 0 || len < 0) return -EINVAL;
  return native ? native.fallocate(fd, mode, pos, len) : -EOPNOTSUPP;
}

function argumentErrno(error: unknown): number {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ERR_OUT_OF_RANGE' || code?.startsWith('ERR_INVALID_ARG')) return -EINVAL;
  return -(errnoOf(error) || EIO);
}
