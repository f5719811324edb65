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
  EAGAIN,
  EINTR,
  EINVAL,
  EIO,
  ENOSPC,
  EOPNOTSUPP,
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
  RING_INLINE,
  SUPPORT_EMULATED,
  SUPPORT_NATIVE,
  SUPPORT_NONE,
  invariant,
  RequestQueue,
  type Counter,
  type Files,
  type OpenFile,
  type RingClient,
  type RingPlace,
  type RingQueue,
  type XioInfo,
  type XioObject,
} from '@mars/brick-core';
import { AGAIN_MS, INLINE_WRITE_BYTES, MAX_AGAIN, PIECE_BYTES } from '../limits.js';
import { writeExtents } from './extents.js';
import { Job } from './job.js';
import { openEnd, type EndOptions } from './open-end.js';
import { SyncGroup } from './sync-group.js';

// What a ring operation is for: the token that comes back with its result.
const READ = 0;
const WRITE = 1;
const SYNC = 2;
const PUNCH = 3;
const ZERO_RANGE = 4;
const PREFETCH = 5;

const PUNCH_HOLE = RING_FALLOC_PUNCH_HOLE | RING_FALLOC_KEEP_SIZE;
const ZERO_IN_PLACE = RING_FALLOC_ZERO_RANGE | RING_FALLOC_KEEP_SIZE;

/**
 * The common part of all ends that work through the ring: a file or a block device, read and written where it stands.
 *
 * - A request goes to the kernel in the tick in which it comes, straight from and to the arena. Short transfers go on
 *   with the rest; a request is answered whole, except a READ at the end of a growing file.
 * - FLUSH is one sync call for all flushes that wait (group commit).
 * - A failed sync is remembered: from then on every FLUSH and FUA fails until the brick was off (see {@link SyncGroup}).
 *
 * Source: bricks.md 2.6, 2.7, 3.1; data-path.md 6.
 */
export abstract class RingEnd extends BrickBase implements RingClient {
  protected file: OpenFile | null = null;
  private options!: EndOptions;
  protected ring!: RingQueue;
  /** What readers see of a growing file, bytes: the end of the last finished write. */
  private visibleBytes = 0;
  private sizeNews = false;
  private writesUnderWay = 0;
  private canPunch = false;
  private canZeroRange = false;
  /** A piece of zeroes for where the kernel cannot zero, and behind it one for what is read ahead; -1 when there was no memory. */
  private pieces = -1;
  private syncs!: SyncGroup;
  private syncCount!: Counter;
  private agains!: Counter;
  /** Requests that found no room in the ring. */
  private readonly noRoom = new RequestQueue();

  protected constructor(protected readonly files: Files) {
    super();
  }

  /** Read from the parameters, when the brick starts. */
  protected abstract endOptions(): EndOptions;
  /** Refuses what this type of end does not take. */
  protected checkFile(_file: OpenFile): void {}

  protected override attached(): void {
    this.syncCount = this.ctx.counter('syncs');
    this.agains = this.ctx.counter('tried_again');
    this.syncs = new SyncGroup((o, err) => this.answer(o, err));
  }

  protected override async start(): Promise<void> {
    this.ring = this.ringOfLoop();
    this.options = this.endOptions();
    const file = await openEnd(this.files, this.options);
    try {
      this.checkFile(file);
    } catch (error) {
      await this.files.close(file);
      throw error;
    }
    this.file = file;
    this.pieces = this.ctx.mem.alloc(2 * PIECE_BYTES);
    if (this.pieces >= 0) this.ctx.mem.fill(this.pieces, PIECE_BYTES, 0);
    // Devices zero themselves, if need be by writing inside the kernel; the first refusal tells who cannot.
    this.canZeroRange = !file.isReadOnly;
    this.canPunch = !file.isReadOnly && file.canDiscard;
    this.syncs.reset();
    if (this.options.sync === 'none')
      this.ctx.log.warn({ path: file.path }, 'sync is off: a flush makes nothing durable here');
    this.visibleBytes = file.sizeBytes;
    this.ctx.publish('sizeBytes', this.visibleBytes);
    this.ctx.publish('syncFailed', false);
  }

  protected override async stop(): Promise<void> {
    const { file } = this;
    this.file = null;
    if (this.pieces >= 0) this.ctx.mem.release(this.pieces);
    this.pieces = -1;
    if (file !== null) await this.files.close(file);
  }

  private ringOfLoop(): RingQueue {
    const { ring } = this.ctx.loop;
    if (ring !== null) return ring;
    throw new MarsError(ErrorCode.START_FAILED, `${this.meta.type} needs a ring, and this loop has none`, {
      hint: 'Use the type "file", which needs none.',
    });
  }

  info(into: XioInfo): number {
    const { file } = this;
    if (file === null) return 0;
    into.size = this.visibleBytes;
    into.align = this.options.direct ? Math.max(1, file.alignBytes) : 1;
    into.preferred = Math.max(file.preferredBytes, into.align);
    into.caps = CAP_WHOLE | CAP_EXTENTS | CAP_ORDERED;
    if (file.isRotational) into.caps |= CAP_ROTATIONAL;
    into.cache = this.options.direct || this.pieces < 0 ? SUPPORT_NONE : SUPPORT_EMULATED;
    if (this.options.readonly || file.isReadOnly) return 0;
    into.caps |= CAP_WRITE | CAP_FLUSH;
    if (this.mayGrow) into.caps |= CAP_GROW;
    if (this.canPunch) into.caps |= CAP_TRIM;
    if (this.zeroesFast) into.caps |= CAP_FAST_ZERO;
    into.fua = SUPPORT_NATIVE;
    into.zero = this.canZeroRange ? SUPPORT_NATIVE : this.pieces < 0 ? SUPPORT_NONE : SUPPORT_EMULATED;
    return 0;
  }

  io(o: XioObject): void {
    const job = (o.aspects[this.ctx.slot] ??= new Job()) as Job;
    job.begin(o);
    if (o.op === OP_READ) this.startRead(job);
    else if (o.op === OP_FLUSH) this.needSync(o);
    else if (o.op === OP_EXTENTS) this.answerExtents(o);
    else if (o.op === OP_CACHE) this.submit(job);
    else this.startChange(job);
  }

  /** Once per tick: requests that found no room in the ring, the sync for all who wait, and news of the size. */
  override endBatch(_events: number): void {
    for (let o = this.noRoom.peek(); o !== null && this.push(this.jobOf(o)) >= 0; o = this.noRoom.peek())
      this.noRoom.shift();
    if (this.noRoom.length > 0) this.ring.awaitRoom(this);
    if (this.syncs.isDue) this.startSync();
    if (this.sizeNews) this.tellSize();
  }

  /** A device that was resized tells nobody. */
  protected override round(): void {
    this.recheckSize();
  }

  override get busy(): boolean {
    return super.busy || this.noRoom.length > 0 || this.writesUnderWay > 0 || this.syncs.isBusy;
  }

  ringDone(token: number, result: number, place: RingPlace | null): void {
    if (token === SYNC) return this.syncDone(result);
    const job = place as Job;
    if ((result === -EAGAIN || result === -EINTR) && job.tries++ < MAX_AGAIN) return this.tryLater(job);
    if (token === READ) this.readDone(job, result);
    else if (token === WRITE) this.writeDone(job, result);
    else if (token === PREFETCH) this.prefetchDone(job, result);
    else this.rangeDone(token, job, result);
  }

  /**
   * Looks whether the device, or a file that others write, has another size now. For whoever resizes it; a read at the end of a
   * growing file looks by itself. While writes are under way the size of a file says nothing: they may end in any order.
   */
  recheckSize(): void {
    if (this.file === null || (this.mayGrow && this.writesUnderWay > 0)) return;
    const sizeBytes = this.files.size(this.file);
    if (sizeBytes === this.visibleBytes) return;
    this.visibleBytes = sizeBytes;
    this.tellSize();
  }

  private get mayGrow(): boolean {
    return this.options.mayGrow && !this.file!.isBlockDevice;
  }

  private sizeIsNow(sizeBytes: number): void {
    this.visibleBytes = sizeBytes;
    this.sizeNews = true;
    this.plug();
  }

  private tellSize(): void {
    this.sizeNews = false;
    this.ctx.publish('sizeBytes', this.visibleBytes);
    this.ctx.infoChanged();
  }

  // ------------------------------------------------------------------------------------------------------------- reads

  private startRead(job: Job): void {
    if (this.mayGrow && job.pos + job.len > this.visibleBytes) {
      this.recheckSize();
      job.total = Math.max(0, Math.min(job.len, this.visibleBytes - job.pos));
      // Direct reads keep their aligned length; the kernel stops at the end by itself.
      if (!this.options.direct) job.len = job.total;
    }
    if (job.total === 0) this.readEnds(job);
    else this.submit(job);
  }

  private readDone(job: Job, result: number): void {
    if (result < 0) return this.answer(job.o, result);
    job.advance(result);
    // Direct reads stop short of a multiple of the block size only at the end of the file.
    const isEnd = result === 0 || (this.options.direct && (result & (this.file!.alignBytes - 1)) !== 0);
    if (job.served < job.total && !isEnd) return this.submit(job);
    if (job.served < job.total && !this.mayGrow) return this.answer(job.o, -EIO);
    this.readEnds(job);
  }

  private readEnds({ o, total, served }: Job): void {
    o.len = Math.min(total, served);
    o.flags |= F_UPTODATE;
    this.answer(o, 0);
  }

  private prefetchDone(job: Job, result: number): void {
    if (result > 0) job.advance(result);
    // A hint: whatever the outcome, the request is done.
    if (result > 0 && job.len > 0) this.submit(job);
    else this.answer(job.o, 0);
  }

  private answerExtents(o: XioObject): void {
    writeExtents(this.files, this.file!, this.ctx.mem, o);
    this.answer(o, 0);
  }

  // ----------------------------------------------------------------------------------------------- writes, zeroes, trims

  private startChange(job: Job): void {
    const { o } = job;
    if (o.op === OP_ZERO && o.flags & F_FAST && !this.zeroesFast) return this.answer(o, -EOPNOTSUPP);
    if (o.flags & F_FUA && this.syncs.error !== 0) return this.answer(o, this.syncs.error);
    this.writesUnderWay++;
    if (job.len === 0) this.changeEnds(job, 0);
    else this.submit(job);
  }

  private writeDone(job: Job, result: number): void {
    if (result > 0) job.advance(result);
    if (result > 0 && job.len > 0) return this.submit(job);
    if (result < 0 && this.isDurable(job)) return this.durableWriteFailed(job, result);
    if (job.served > 0 && job.pos > this.visibleBytes) this.sizeIsNow(job.pos);
    this.changeEnds(job, result === 0 ? -EIO : result);
  }

  private rangeDone(token: number, job: Job, result: number): void {
    if (result === -EOPNOTSUPP || result === -EINVAL) return this.rangeRefused(token, job, result);
    this.changeEnds(job, result);
  }

  /**
   * EOPNOTSUPP: this file never does it. EINVAL: a device does not do it in part of a sector. A trim is a hint, so that it was
   * not followed is no error; zeroes are written instead.
   */
  private rangeRefused(token: number, job: Job, result: number): void {
    if (result === -EINVAL) job.secondWay = true;
    else this.cannot(token);
    if (job.o.op === OP_TRIM) this.changeEnds(job, 0);
    else if (!this.mustWrite(job)) this.submit(job);
    else if (job.o.flags & F_FAST || this.pieces < 0) this.changeEnds(job, -EOPNOTSUPP);
    else this.submit(job);
  }

  private cannot(token: number): void {
    if (token === PUNCH) this.canPunch = false;
    else this.canZeroRange = false;
    this.ctx.infoChanged();
  }

  private mayPunch({ o, secondWay }: Job): boolean {
    return o.op === OP_TRIM || (this.canPunch && (o.flags & F_MAY_TRIM) !== 0 && !secondWay);
  }

  private mustWrite(job: Job): boolean {
    return job.secondWay || !(this.canZeroRange || this.mayPunch(job));
  }

  private changeEnds(job: Job, result: number): void {
    const { o } = job;
    this.writesUnderWay--;
    if (result >= 0 && job.secondWay && o.op === OP_WRITE) this.syncFailed((result = -ENOSPC));
    if (result < 0) this.answer(o, result);
    else if (o.flags & F_FUA && !this.isDurable(job)) this.needSync(o);
    else this.answer(o, 0);
  }

  /** With fdatasync semantics the write call itself can be durable, which saves an operation and syncs nothing else. */
  private isDurable({ o, secondWay }: Job): boolean {
    return o.op === OP_WRITE && (o.flags & F_FUA) !== 0 && this.options.sync === 'fdatasync' && !secondWay;
  }

  /**
   * By itself, or because it was the first to hear that older data could not be written back (which the kernel tells once)?
   * When space has run out, a plain write tells: if that works, it was the sync. Anything else counts as a failed sync.
   */
  private durableWriteFailed(job: Job, result: number): void {
    if (result === -ENOSPC) {
      job.secondWay = true;
      return this.submit(job);
    }
    this.syncFailed(result);
    this.changeEnds(job, result);
  }

  private get zeroesFast(): boolean {
    return this.canZeroRange && (this.canPunch || !this.file!.isBlockDevice);
  }

  // ------------------------------------------------------------------------------------------------------------- syncs

  private needSync(o: XioObject): void {
    if (this.options.sync === 'none') return this.answer(o, 0);
    this.syncs.add(o);
    // At the end of the tick: whoever comes until then shares this sync.
    this.plug();
  }

  private startSync(): void {
    const flags = this.options.sync === 'fsync' ? 0 : RING_DATASYNC;
    if (this.ring.fsync(this.file!.fd, flags, this, SYNC) < 0) return this.ring.awaitRoom(this);
    this.syncCount.n++;
    this.syncs.begin();
  }

  private syncDone(result: number): void {
    if (result < 0) this.syncFailed(result);
    this.syncs.end(result);
    if (this.syncs.isDue) this.plug();
  }

  private syncFailed(err: number): void {
    this.syncs.fail(err);
    this.ctx.publish('syncFailed', true);
    this.ctx.log.error(
      {
        path: this.file!.path,
        errno: -err,
        hint: 'Find out what is wrong with the device; then switch this brick off and on.',
      },
      'a sync failed: what was written since the last one may be lost, so every flush fails from now on',
    );
  }

  // -------------------------------------------------------------------------------------------------------------- ring

  protected answer(o: XioObject, err: number): void {
    this.ctx.loop.finish(o, err);
  }

  private jobOf(o: XioObject): Job {
    return o.aspects[this.ctx.slot] as Job;
  }

  /** Hands the next step of a request to the ring; without room there it waits in line. */
  private submit(job: Job): void {
    if (this.noRoom.length === 0 && this.push(job) >= 0) return;
    this.noRoom.push(job.o);
    this.ring.awaitRoom(this);
  }

  private readonly submitAgain = (job: Job): void => this.submit(job);

  private tryLater(job: Job): void {
    this.agains.n++;
    this.ctx.loop.after(AGAIN_MS, job, this.submitAgain);
  }

  private writeFlags(job: Job): number {
    if (this.isDurable(job)) return RING_DSYNC;
    return !this.options.direct && job.len <= INLINE_WRITE_BYTES ? RING_INLINE : 0;
  }

  private push(job: Job): number {
    const { op, buf } = job.o;
    const { ring } = this;
    const { fd } = this.file!;
    if (op === OP_READ) return ring.read(fd, buf + job.served, job.len, job, this, READ);
    if (op === OP_WRITE) {
      return ring.write(fd, buf + job.served, job.len, job, this, WRITE, this.writeFlags(job));
    }
    const pieceBytes = Math.min(job.len, PIECE_BYTES);
    // Everybody reads ahead into the same piece: nobody looks at it, the page cache is what counts.
    if (op === OP_CACHE) return ring.read(fd, this.pieces + PIECE_BYTES, pieceBytes, job, this, PREFETCH);
    if (this.mayPunch(job)) return ring.fallocate(fd, PUNCH_HOLE, job, this, PUNCH);
    invariant(op === OP_ZERO, 'an end was given an operation that it does not advertise');
    if (!this.mustWrite(job)) return ring.fallocate(fd, ZERO_IN_PLACE, job, this, ZERO_RANGE);
    return ring.write(fd, this.pieces, pieceBytes, job, this, WRITE);
  }
}
