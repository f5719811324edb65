import {
  CQ_WORDS,
  EBADF,
  EBUSY,
  ECANCELED,
  EFAULT,
  EINVAL,
  ENOENT,
  ENOSPC,
  EOPNOTSUPP,
  ETIME,
  IOV_WORDS,
  RING_CANCEL,
  RING_CANCEL_FD,
  RING_CLOSE,
  RING_COMPARE,
  RING_COPY,
  RING_DSYNC,
  RING_FALLOCATE,
  RING_FALLOC_KEEP_SIZE,
  RING_FALLOC_PUNCH_HOLE,
  RING_FALLOC_ZERO_RANGE,
  RING_FSYNC,
  RING_HASH,
  RING_NOP,
  RING_QUIET,
  RING_READ,
  RING_READV,
  RING_SYNC_RANGE,
  RING_TIMEOUT,
  RING_WRITE,
  RING_WRITEV,
  RING_ZERO,
  SQ_WORDS,
  invariant,
  type Ring,
} from '@mars/brick-core';
import type { DiskWorld, JobHandle } from './disk/disk.js';
import type { Fate } from './disk/faults.js';
import type { SyncToken } from './disk/sectors.js';
import type { SimFile, SimFiles } from './files.js';
import { digestInto } from './ring-digest.js';
import { MAX_RING_OPS } from './limits.js';
import type { Life } from './world/life.js';
import type { WorldEvent } from './world/queue.js';

/** One descriptor of `sq`, taken apart. */
interface Op {
  code: number;
  fd: number;
  buf: number;
  len: number;
  pos: number;
  flags: number;
  tag: number;
}

interface Span {
  at: number;
  len: number;
}

/**
 * A ring of one life of a host: descriptors in, events of the world out. It obeys the same table as the addon
 * (`native/index.d.ts`); sockets are not among its operations.
 *
 * A write takes hold of the file at a drawn moment between its submission and its completion, because nobody may rely on
 * either: a buffer that is re-used too early is found, and so is a reader that expects old data.
 */
export class SimRing implements Ring {
  readonly sq: Int32Array;
  readonly cq: Int32Array;
  readonly iov: Int32Array;
  private readonly u8: Uint8Array;
  private readonly done: number[] = [];
  private readonly jobs = new Map<number, { fd: number; handle: JobHandle }>();
  private readonly timeouts = new Map<number, WorldEvent>();
  private inFlight = 0;
  private onWake: (() => void) | null = null;
  private wakeEvent: WorldEvent | null = null;
  private isClosed = false;

  constructor(
    private readonly world: DiskWorld,
    private readonly life: Life,
    private readonly files: SimFiles,
    readonly arena: ArrayBuffer | SharedArrayBuffer,
    private readonly entries: number,
  ) {
    this.sq = new Int32Array(entries * SQ_WORDS);
    this.cq = new Int32Array(entries * CQ_WORDS);
    this.iov = new Int32Array(entries * 4 * IOV_WORDS);
    this.u8 = new Uint8Array(arena);
  }

  tick(nOps: number, waitUs: number): number {
    this.life.check();
    invariant(!this.isClosed, 'tick() of a closed ring');
    invariant(waitUs === 0, 'a simulated ring cannot wait: attach() to it');
    for (let i = 0; i < nOps; i++) this.begin(this.opAt(i));
    const count = Math.min(this.done.length / CQ_WORDS, this.entries);
    this.cq.set(this.done.splice(0, count * CQ_WORDS));
    if (this.done.length > 0) this.wake();
    return count;
  }

  run(): void {
    invariant(false, 'a simulated ring has no thread of its own: attach() to it');
  }

  attach(cb: () => void): void {
    this.onWake = cb;
    if (this.done.length > 0) this.wake();
  }

  detach(): void {
    this.onWake = null;
  }

  wake(): void {
    if (this.onWake === null || this.wakeEvent !== null || this.life.isOver) return;
    this.wakeEvent = this.world.schedule(this.world.nowNs, 'ring', this.life, () => {
      this.wakeEvent = null;
      this.onWake?.();
    });
  }

  close(): void {
    this.isClosed = true;
    this.onWake = null;
    for (const { handle } of this.jobs.values()) this.files.disk.cancel(handle);
    for (const event of this.timeouts.values()) event.run = null;
    this.jobs.clear();
    this.timeouts.clear();
  }

  /** Operations that were submitted and have not completed. */
  get busy(): number {
    return this.inFlight;
  }

  waits(): string[] {
    const timeouts = [...this.timeouts.keys()].map((tag) => `ring: timeout ${tag}`);
    return this.done.length === 0
      ? timeouts
      : [...timeouts, `ring: ${this.done.length / CQ_WORDS} completions that nobody fetches`];
  }

  private opAt(i: number): Op {
    const { sq } = this;
    const at = i * SQ_WORDS;
    return {
      code: sq[at]!,
      fd: sq[at + 1]!,
      buf: sq[at + 2]!,
      len: sq[at + 3]!,
      pos: sq[at + 5]! * 2 ** 32 + (sq[at + 4]! >>> 0),
      flags: sq[at + 6]!,
      tag: sq[at + 7]!,
    };
  }

  private begin(op: Op): void {
    if (op.code >= RING_HASH) {
      const result = this.inline(op);
      if (result !== 0 || !(op.flags & RING_QUIET)) this.complete(op.tag, result);
      return;
    }
    const err = this.inFlight >= MAX_RING_OPS ? -EBUSY : this.prepare(op);
    if (err < 0) this.complete(op.tag, err);
  }

  /** @returns 0 = completes later, negative = the errno with which it completes now */
  private prepare(op: Op): number {
    switch (op.code) {
      case RING_NOP:
        return this.later(op, 1000, 0);
      case RING_TIMEOUT:
        return op.pos < 0 ? -EINVAL : this.later(op, op.pos, -ETIME);
      case RING_CANCEL:
        return this.cancel(op);
      case RING_CLOSE:
        return this.later(op, 2000, this.files.closeFd(op.fd));
      default:
        return this.prepareFile(op);
    }
  }

  private prepareFile(op: Op): number {
    const file = this.files.byFd(op.fd);
    if (file === undefined) return -EBADF;
    switch (op.code) {
      case RING_READ:
      case RING_READV:
        return this.transfer(op, file, false);
      case RING_WRITE:
      case RING_WRITEV:
        return file.isReadOnly ? -EBADF : this.transfer(op, file, true);
      case RING_FSYNC:
        this.track(op, this.files.submitSync(file, this.answerOf(op)));
        return 0;
      case RING_SYNC_RANGE:
        // Starts write-back and promises nothing, so here it only takes time.
        return this.later(op, 10_000, 0);
      case RING_FALLOCATE:
        return file.isReadOnly ? -EBADF : this.allocate(op, file);
      default:
        return -EINVAL;
    }
  }

  private transfer(op: Op, file: SimFile, isWrite: boolean): number {
    const spans = this.spansOf(op);
    if (spans === null) return -EFAULT;
    const len = spans.reduce((sum, span) => sum + span.len, 0);
    if (op.pos < 0) return -EINVAL;
    const mask = file.alignBytes - 1;
    if (file.isDirect && ((op.pos | len) & mask || spans.some((span) => (span.at | span.len) & mask))) return -EINVAL;
    if (isWrite) this.write(op, file, spans, len);
    else this.read(op, file, spans, len);
    return 0;
  }

  private read(op: Op, file: SimFile, spans: Span[], len: number): void {
    const work = (fate: Fate): number => {
      if (fate.errno !== 0) return -fate.errno;
      const { inode } = file;
      const served = Math.max(0, Math.min(fate.short ? this.partOf(len) : len, inode.sizeBytes - op.pos));
      if (fate.rot && served > 0) inode.data!.rot(op.pos + this.files.disk.draw(served), this.files.disk.draw(8));
      this.eachPart(spans, served, (at, done, part) =>
        inode.data!.read(op.pos + done, this.u8.subarray(at, at + part)),
      );
      return served;
    };
    this.track(op, this.submit('read', op, file, len, work));
  }

  private write(op: Op, file: SimFile, spans: Span[], len: number): void {
    const { inode, volume } = file;
    const isDurable = (op.flags & RING_DSYNC) !== 0;
    let token: SyncToken | null = null;
    let result: number | null = null;
    const put = (fate: Fate): void => {
      // A write that fails may have changed any part of its range.
      const wanted = fate.errno === 0 && !fate.short ? len : this.partOf(len);
      result = this.putAll(op, file, spans, wanted);
      if (isDurable && fate.errno === 0) token = inode.data!.beginSync();
    };
    const isEarly = this.files.disk.coin();
    const work = (fate: Fate): number => {
      if (!isEarly) put(fate);
      if (token !== null) {
        volume.journal.commitInode(inode);
        inode.data!.endSync(token, { pos: op.pos, len });
      }
      return fate.errno === 0 ? result! : -fate.errno;
    };
    const drop = (): void => void (token !== null && inode.data!.abandonSync(token));
    this.track(op, this.submit('write', op, file, len, work, drop, isEarly ? put : undefined));
  }

  /** @returns bytes written or -ENOSPC */
  private putAll(op: Op, file: SimFile, spans: Span[], len: number): number {
    const end = file.inode.isDevice ? file.inode.sizeBytes : Infinity;
    if (op.pos >= end && len > 0) return -ENOSPC;
    let written = 0;
    let err = 0;
    this.eachPart(spans, Math.min(len, end - op.pos), (at, done, part) => {
      if (err !== 0 || written < done) return;
      const n = file.volume.write(file.inode, op.pos + done, this.u8.subarray(at, at + part), this.world.nowNs);
      if (n < 0) err = n;
      else written += n;
    });
    file.inode.mtimeNs += 1n;
    return written === 0 ? err : written;
  }

  private allocate(op: Op, file: SimFile): number {
    const len = (op.buf >>> 0) * 2 ** 32 + (op.len >>> 0);
    if (op.pos < 0 || len <= 0) return -EINVAL;
    const isZero = (op.flags & (RING_FALLOC_PUNCH_HOLE | RING_FALLOC_ZERO_RANGE)) !== 0;
    if (file.inode.isDevice && !isZero) return -EOPNOTSUPP;
    const { inode, volume } = file;
    const work = (fate: Fate): number => {
      if (fate.errno !== 0) return -fate.errno;
      const end = op.flags & RING_FALLOC_PUNCH_HOLE ? Math.min(op.pos + len, inode.sizeBytes) : op.pos + len;
      if (isZero && end > op.pos) {
        volume.charged(inode, () => inode.data!.zero(op.pos, end - op.pos));
        volume.observer?.zeroed(inode, op.pos, end - op.pos);
      }
      if (!isZero) {
        if (!volume.hasRoom(inode, op.pos, len)) return -ENOSPC;
        volume.charged(inode, () => inode.data!.allocate(op.pos, len));
      }
      if (!(op.flags & RING_FALLOC_KEEP_SIZE) && end > inode.sizeBytes && !inode.isDevice)
        volume.setSize(inode, end, this.world.nowNs);
      return 0;
    };
    this.track(op, this.submit('allocate', op, file, 0, work));
    return 0;
  }

  private submit(
    kind: 'read' | 'write' | 'allocate',
    op: Op,
    file: SimFile,
    len: number,
    work: (fate: Fate) => number,
    drop?: () => void,
    early?: (fate: Fate) => void,
  ): JobHandle {
    const job = {
      op: kind,
      path: file.path,
      pos: op.pos,
      len,
      work,
      answer: this.answerOf(op),
      ...(drop ? { drop } : {}),
    };
    return this.files.disk.submit(this.life, job, early);
  }

  private answerOf(op: Op): (result: number) => void {
    return (result) => {
      this.inFlight--;
      this.jobs.delete(op.tag);
      this.complete(op.tag, result);
    };
  }

  private track(op: Op, handle: JobHandle): void {
    this.inFlight++;
    this.jobs.set(op.tag, { fd: op.fd, handle });
  }

  private later(op: Op, afterNs: number, result: number): number {
    this.inFlight++;
    const event = this.world.schedule(this.world.nowNs + afterNs, 'ring-op', this.life, () => {
      this.inFlight--;
      this.timeouts.delete(op.tag);
      this.complete(op.tag, result);
    });
    this.timeouts.set(op.tag, event);
    return 0;
  }

  private cancel(op: Op): number {
    if (op.flags & RING_CANCEL_FD) {
      const tags = [...this.jobs].filter(([, { fd }]) => fd === op.fd).map(([tag]) => tag);
      this.complete(op.tag, tags.filter((tag) => this.cancelTag(tag)).length);
    } else this.complete(op.tag, this.cancelTag(op.buf) ? 0 : -ENOENT);
    return 0;
  }

  /** @returns false when nothing with that tag is under way */
  private cancelTag(tag: number): boolean {
    const event = this.timeouts.get(tag);
    const job = this.jobs.get(tag);
    if (event === undefined && (job === undefined || !this.files.disk.cancel(job.handle))) return false;
    if (event !== undefined) event.run = null;
    this.timeouts.delete(tag);
    this.jobs.delete(tag);
    this.inFlight--;
    this.complete(tag, -ECANCELED);
    return true;
  }

  private complete(tag: number, result: number): void {
    if (this.isClosed) return;
    this.done.push(tag, result);
    this.wake();
  }

  private inline(op: Op): number {
    if (!this.isInside(op.buf, op.len)) return -EFAULT;
    if (op.code === RING_ZERO) {
      this.u8.fill(0, op.buf, op.buf + op.len);
      return 0;
    }
    if (op.code === RING_HASH) return digestInto(this.u8, op.buf, op.len, op.pos, op.flags & 0xff);
    if (op.code !== RING_COPY && op.code !== RING_COMPARE) return -EINVAL;
    if (!this.isInside(op.pos, op.len)) return -EFAULT;
    if (op.code === RING_COPY) {
      this.u8.copyWithin(op.pos, op.buf, op.buf + op.len);
      return 0;
    }
    for (let i = 0; i < op.len; i++) if (this.u8[op.buf + i] !== this.u8[op.pos + i]) return i + 1;
    return 0;
  }

  private spansOf(op: Op): Span[] | null {
    const spans: Span[] = [];
    if (op.code === RING_READ || op.code === RING_WRITE) spans.push({ at: op.buf, len: op.len });
    else {
      if (op.buf < 0 || op.len < 0 || (op.buf + op.len) * IOV_WORDS > this.iov.length) return null;
      for (let i = op.buf; i < op.buf + op.len; i++)
        spans.push({ at: this.iov[i * IOV_WORDS]!, len: this.iov[i * IOV_WORDS + 1]! });
    }
    return spans.every((span) => this.isInside(span.at, span.len)) ? spans : null;
  }

  private isInside(at: number, len: number): boolean {
    return at >= 0 && len >= 0 && at + len <= this.u8.length;
  }

  private eachPart(spans: readonly Span[], len: number, visit: (at: number, done: number, part: number) => void): void {
    let done = 0;
    for (const span of spans) {
      const part = Math.min(span.len, len - done);
      if (part <= 0) return;
      visit(span.at, done, part);
      done += part;
    }
  }

  /** Some of the bytes, in whole sectors where there are several. */
  private partOf(len: number): number {
    const part = this.files.disk.draw(Math.max(1, len));
    return len > 512 ? part - (part % 512) : part;
  }
}
