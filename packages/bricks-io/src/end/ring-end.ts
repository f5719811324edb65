import {
  BrickBase,
  CAP_EXTENTS,
  CAP_FAST_ZERO,
  CAP_FLUSH,
  CAP_GROW,
  CAP_ORDERED,
  CAP_ROTATIONAL,
  CAP_TRIM,
  CAP_WHOLE,
  CAP_WRITE,
  EIO,
  EOPNOTSUPP,
  EROFS,
  ErrorCode,
  F_FAST,
  F_FUA,
  F_MAY_TRIM,
  F_UPTODATE,
  MarsError,
  OP_CACHE,
  OP_EXTENTS,
  OP_FLUSH,
  OP_READ,
  OP_TRIM,
  OP_WRITE,
  OP_ZERO,
  RING_DATASYNC,
  RING_DSYNC,
  RING_FALLOC_KEEP_SIZE,
  RING_FALLOC_PUNCH_HOLE,
  RING_FALLOC_ZERO_RANGE,
  SUPPORT_EMULATED,
  SUPPORT_NATIVE,
  SUPPORT_NONE,
  invariant,
  type Counter,
  type Files,
  type OpenFile,
  type RingClient,
  type RingPlace,
  type RingQueue,
  type XioInfo,
  type XioObject,
} from '@mars/brick-core';
import { ZERO_PIECE_BYTES } from '../limits.js';
import { writeExtents } from './extents.js';
import { Job } from './job.js';
import { RequestQueue } from './request-queue.js';

/** Which call makes data durable. `none` is for throw-away data: a flush then promises nothing. */
export type SyncMode = 'fsync' | 'fdatasync' | 'none';

/** How an end opens its file. */
export interface EndOptions {
  path: string;
  create: boolean;
  direct: boolean;
  readonly: boolean;
  exclusive: boolean;
  mayGrow: boolean;
  sync: SyncMode;
  /** Size of a file that is made new, bytes; 0 = empty. */
  newSizeBytes: number;
}

// What a ring operation is for: the token that comes back with its result.
const READ = 0;
const WRITE = 1;
const SYNC = 2;
const PUNCH = 3;
const ZERO_RANGE = 4;
const ZERO_WRITE = 5;
const PREFETCH = 6;

/**
 * The common part of all ends that work through the ring: a file or a block device, read and written where it stands.
 *
 * - A request goes to the kernel in the tick in which it comes, straight from and to the arena. Short transfers go on
 *   with the rest; a request is answered whole, except a READ at the end of a growing file.
 * - FLUSH is one sync call for all flushes that wait (group commit). One that comes while a sync runs waits for the next:
 *   the running one may have begun before the writes it must cover.
 * - A failed sync is remembered: the kernel drops the dirty pages and reports the error once, so a later sync would
 *   answer "durable" for data that is gone. From then on every FLUSH and FUA fails until the brick was off.
 *
 * Source: bricks.md 2.6, 2.7, 3.1; data-path.md 6.
 */
export abstract class RingEnd extends BrickBase implements RingClient {
  protected file: OpenFile | null = null;
  private options!: EndOptions;
  protected ring!: RingQueue;
  /** What readers see of a growing file, bytes: the end of the last finished write. */
  private visibleBytes = 0;
  private writesUnderWay = 0;
  private canPunch = false;
  private canZeroRange = false;
  private scratch = -1;
  private syncError = 0;
  private isSyncing = false;
  /** Flushes (and FUA requests whose data is written) that wait for the next sync, and those that the running one covers. */
  private readonly nextSync = new RequestQueue();
  private readonly runningSync = new RequestQueue();
  /** Requests that found no room in the ring. */
  private readonly noRoom = new RequestQueue();
  private syncs!: Counter;

  protected constructor(protected readonly files: Files) {
    super();
  }

  /** Read from the parameters, when the brick starts. */
  protected abstract endOptions(): EndOptions;
  /** Refuses what this type of end does not take. */
  protected checkFile(_file: OpenFile): void {}

  protected override attached(): void {
    this.syncs = this.ctx.counter('syncs');
  }

  protected override async start(): Promise<void> {
    const { ring } = this.ctx.loop;
    if (ring === null) {
      throw new MarsError(ErrorCode.START_FAILED, `${this.meta.type} needs a ring, and this loop has none`, {
        hint: 'Use the type "file", which needs none.',
      });
    }
    this.ring = ring;
    this.options = this.endOptions();
    const file = await openEnd(this.files, this.options);
    try {
      this.checkFile(file);
      this.scratch = this.ctx.mem.alloc(ZERO_PIECE_BYTES);
      if (this.scratch >= 0) this.ctx.mem.fill(this.scratch, ZERO_PIECE_BYTES, 0);
    } catch (error) {
      await this.files.close(file);
      throw error;
    }
    this.file = file;
    this.visibleBytes = file.sizeBytes;
    this.canPunch = this.canZeroRange = !file.isReadOnly && (file.canDiscard || !file.isBlockDevice);
    this.syncError = 0;
    if (this.options.sync === 'none') this.ctx.log.warn({ path: file.path }, 'sync is off: a flush makes nothing durable here');
    this.ctx.publish('sizeBytes', this.visibleBytes);
  }

  protected override async stop(): Promise<void> {
    const { file } = this;
    this.file = null;
    if (this.scratch >= 0) this.ctx.mem.release(this.scratch);
    this.scratch = -1;
    if (file !== null) await this.files.close(file);
  }

  info(into: XioInfo): number {
    const { file } = this;
    if (file === null) return 0;
    const mayWrite = !this.options.readonly && !file.isReadOnly;
    into.size = this.visibleBytes;
    into.align = this.options.direct ? Math.max(1, file.alignBytes) : 1;
    into.preferred = Math.max(file.preferredBytes, into.align);
    into.caps = CAP_WHOLE | CAP_EXTENTS | CAP_ORDERED;
    if (file.isRotational) into.caps |= CAP_ROTATIONAL;
    into.cache = this.options.direct || this.scratch < 0 ? SUPPORT_NONE : SUPPORT_EMULATED;
    if (!mayWrite) return 0;
    into.caps |= CAP_WRITE | CAP_FLUSH;
    if (this.mayGrow) into.caps |= CAP_GROW;
    if (this.canPunch) into.caps |= CAP_TRIM;
    if (this.canZeroRange) into.caps |= CAP_FAST_ZERO;
    into.fua = SUPPORT_NATIVE;
    into.zero = this.canZeroRange ? SUPPORT_NATIVE : this.scratch < 0 ? SUPPORT_NONE : SUPPORT_EMULATED;
    return 0;
  }

  io(o: XioObject): void {
    const job = (o.aspects[this.ctx.slot] ??= new Job()) as Job;
    job.begin(o);
    if (o.op === OP_READ) this.startRead(job);
    else if (o.op === OP_WRITE) this.startWrite(job);
    else if (o.op === OP_FLUSH) this.needSync(o);
    else this.startRare(job);
  }

  /** Requests that found no room in the ring come again here. */
  override endBatch(_events: number): void {
    for (let n = this.noRoom.length; n > 0 && this.ring.available > 0; n--) this.submit(this.jobOf(this.noRoom.shift()!));
    if (this.noRoom.length > 0) this.ring.awaitRoom(this);
    if (!this.isSyncing && this.nextSync.length > 0) this.startSync();
  }

  override get busy(): boolean {
    return super.busy || this.noRoom.length > 0 || this.nextSync.length > 0 || this.runningSync.length > 0 || this.writesUnderWay > 0;
  }

  ringDone(token: number, result: number, place: RingPlace | null): void {
    if (token === SYNC) return this.syncDone(result);
    const job = place as Job;
    if (token === READ) this.readDone(job, result);
    else if (token === WRITE || token === ZERO_WRITE) this.writeDone(job, result);
    else if (token === PREFETCH) this.prefetchDone(job, result);
    else this.rangeDone(token, job, result);
  }

  /** Looks whether a device or a file that others write has grown. The strategy calls this; so does a read at the end. */
  recheckSize(): void {
    if (this.file === null || this.writesUnderWay > 0) return;
    const sizeBytes = this.files.size(this.file);
    if (sizeBytes === this.visibleBytes) return;
    this.visibleBytes = sizeBytes;
    this.ctx.publish('sizeBytes', sizeBytes);
    this.ctx.infoChanged();
  }

  private get mayGrow(): boolean {
    return this.options.mayGrow && !this.file!.isBlockDevice;
  }

  // ------------------------------------------------------------------------------------------------------------- reads

  private startRead(job: Job): void {
    if (this.mayGrow && job.pos + job.len > this.visibleBytes) this.recheckSize();
    if (this.mayGrow && job.pos + job.len > this.visibleBytes) {
      job.len = job.total = Math.max(0, this.visibleBytes - job.pos);
      if (job.len === 0) return this.readEnds(job);
    }
    this.submit(job);
  }

  private readDone(job: Job, result: number): void {
    if (result < 0) return this.answer(job.o, result);
    job.advance(result);
    // Direct reads stop short of a multiple of the block size only at the end of the file.
    const isEnd = result === 0 || (this.options.direct && (result & (this.file!.alignBytes - 1)) !== 0);
    if (job.len > 0 && !isEnd) return this.submit(job);
    if (job.len > 0 && !this.mayGrow) return this.answer(job.o, -EIO);
    job.total = job.served;
    this.readEnds(job);
  }

  private readEnds({ o, total }: Job): void {
    o.len = total;
    o.flags |= F_UPTODATE;
    this.answer(o, 0);
  }

  // ------------------------------------------------------------------------------------------------------------ writes

  private startWrite(job: Job): void {
    if (this.syncError !== 0 && job.o.flags & F_FUA) return this.answer(job.o, this.syncError);
    this.writesUnderWay++;
    this.submit(job);
  }

  private writeDone(job: Job, result: number): void {
    if (result > 0) job.advance(result);
    if (result > 0 && job.len > 0) return this.submit(job);
    this.writesUnderWay--;
    if (job.o.pos + job.served > this.visibleBytes) this.grow(job.o.pos + job.served);
    if (result <= 0) return this.answer(job.o, result === 0 ? -EIO : result);
    const isDurable = this.writesDurably(job.o);
    if (job.o.flags & F_FUA && !isDurable) this.needSync(job.o);
    else this.answer(job.o, 0);
  }

  /** With fdatasync semantics the write call itself can be durable, which saves an operation. */
  private writesDurably(o: XioObject): boolean {
    return (o.flags & F_FUA) !== 0 && this.options.sync === 'fdatasync';
  }

  private grow(endBytes: number): void {
    this.visibleBytes = endBytes;
    this.ctx.publish('sizeBytes', endBytes);
    this.ctx.infoChanged();
  }

  // ------------------------------------------------------------------------------------------------------------- syncs

  /** `o` is answered when everything that is written by now is durable. */
  private needSync(o: XioObject): void {
    if (this.options.sync === 'none') return this.answer(o, 0);
    if (this.syncError !== 0) return this.answer(o, this.syncError);
    this.nextSync.push(o);
    // At the end of the tick: whoever comes until then shares this sync.
    this.plug();
  }

  private startSync(): void {
    const flags = this.options.sync === 'fsync' ? 0 : RING_DATASYNC;
    if (this.ring.fsync(this.file!.fd, flags, this, SYNC) < 0) return this.ring.awaitRoom(this);
    this.isSyncing = true;
    this.syncs.n++;
    for (let o = this.nextSync.shift(); o !== null; o = this.nextSync.shift()) this.runningSync.push(o);
  }

  private syncDone(result: number): void {
    this.isSyncing = false;
    if (result < 0) this.syncFailed(result);
    for (let o = this.runningSync.shift(); o !== null; o = this.runningSync.shift()) this.answer(o, result < 0 ? result : 0);
    if (this.syncError === 0) {
      if (this.nextSync.length > 0) this.plug();
      return;
    }
    for (let o = this.nextSync.shift(); o !== null; o = this.nextSync.shift()) this.answer(o, this.syncError);
  }

  private syncFailed(result: number): void {
    this.syncError = result;
    this.ctx.publish('error', 'sync');
    this.ctx.log.error(
      { path: this.file!.path, errno: -result, hint: 'Find out what is wrong with the device; then switch this brick off and on.' },
      'a sync failed: what was written since the last one may be lost, so every flush fails from now on',
    );
  }

  // --------------------------------------------------------------------------------------------- trim, zero, extents

  private startRare(job: Job): void {
    const { o } = job;
    if (o.op === OP_EXTENTS) return this.answerExtents(o);
    if (job.len === 0) return this.answer(o, 0);
    if (o.op === OP_CACHE) return this.submit(job);
    if (this.options.readonly) return this.answer(o, -EROFS);
    if (o.op === OP_ZERO && !this.canZeroRange && o.flags & F_FAST) return this.answer(o, -EOPNOTSUPP);
    this.writesUnderWay++;
    this.submit(job);
  }

  private rangeDone(token: number, job: Job, result: number): void {
    const { o } = job;
    if (result === -EOPNOTSUPP && this.fallBack(token, job)) return;
    this.writesUnderWay--;
    if (result < 0) return this.answer(o, result);
    if (o.op === OP_ZERO && o.pos + o.len > this.visibleBytes) this.grow(o.pos + o.len);
    if (o.flags & F_FUA) this.needSync(o);
    else this.answer(o, 0);
  }

  /** The file system lacks the call: remember it, and do without. False = nothing to fall back on. */
  private fallBack(token: number, job: Job): boolean {
    const { o } = job;
    if (token === PUNCH) this.canPunch = false;
    else this.canZeroRange = false;
    this.ctx.infoChanged();
    // A trim is a hint; that it was not followed is no error.
    if (o.op === OP_TRIM) {
      this.writesUnderWay--;
      this.answer(o, 0);
      return true;
    }
    if (!this.canZeroRange && (o.flags & F_FAST || this.scratch < 0)) return false;
    this.submit(job);
    return true;
  }

  private prefetchDone(job: Job, result: number): void {
    if (result > 0) job.advance(result);
    // A hint too: whatever the outcome, the request is done.
    if (result > 0 && job.len > 0) this.submit(job);
    else this.answer(job.o, 0);
  }

  private answerExtents(o: XioObject): void {
    writeExtents(this.files, this.file!, this.ctx.mem, o);
    this.answer(o, 0);
  }

  // -------------------------------------------------------------------------------------------------------------- ring

  protected answer(o: XioObject, err: number): void {
    this.ctx.loop.finish(o, err);
  }

  private jobOf(o: XioObject): Job {
    return o.aspects[this.ctx.slot] as Job;
  }

  /** Hands the next step of a request to the ring; without room there it waits in line. */
  protected submit(job: Job): void {
    if (this.noRoom.length === 0 && this.push(job) >= 0) return;
    this.noRoom.push(job.o);
    this.ring.awaitRoom(this);
  }

  private push(job: Job): number {
    const { o } = job;
    const { ring } = this;
    const { fd } = this.file!;
    if (o.op === OP_READ) return ring.read(fd, o.buf + job.served, job.len, job, this, READ);
    if (o.op === OP_WRITE) {
      return ring.write(fd, o.buf + job.served, job.len, job, this, WRITE, this.writesDurably(o) ? RING_DSYNC : 0);
    }
    if (o.op === OP_CACHE) return ring.read(fd, this.scratch, Math.min(job.len, ZERO_PIECE_BYTES), job, this, PREFETCH);
    if (o.op === OP_TRIM || (o.flags & F_MAY_TRIM && this.canPunch && !this.growsBy(o))) {
      return ring.fallocate(fd, RING_FALLOC_PUNCH_HOLE | RING_FALLOC_KEEP_SIZE, job, this, PUNCH);
    }
    invariant(o.op === OP_ZERO, 'an end was given an operation that it does not advertise');
    if (!this.canZeroRange) return ring.write(fd, this.scratch, Math.min(job.len, ZERO_PIECE_BYTES), job, this, ZERO_WRITE);
    const keepSize = this.growsBy(o) ? 0 : RING_FALLOC_KEEP_SIZE;
    return ring.fallocate(fd, RING_FALLOC_ZERO_RANGE | keepSize, job, this, ZERO_RANGE);
  }

  private growsBy(o: XioObject): boolean {
    return o.pos + o.len > this.visibleBytes;
  }
}

async function openEnd(files: Files, options: EndOptions): Promise<OpenFile> {
  const isNew = options.create && files.stat(options.path) === null;
  const file = await files.open(options.path, {
    write: !options.readonly,
    create: options.create,
    direct: options.direct,
    exclusive: options.exclusive && !isNew,
  });
  if (!isNew || options.newSizeBytes === 0) return file;
  await files.truncate(file, options.newSizeBytes);
  await files.close(file);
  // Opened again, so that size and alignment are those of the file as it is now.
  return files.open(options.path, { write: !options.readonly, direct: options.direct, exclusive: options.exclusive });
}
