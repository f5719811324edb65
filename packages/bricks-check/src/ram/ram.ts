import {
  ARENA_PAGE,
  Brick,
  BrickBase,
  CAP_EXTENTS,
  CAP_FAST_ZERO,
  CAP_FLUSH,
  CAP_GROW,
  CAP_ORDERED,
  CAP_TRIM,
  CAP_WHOLE,
  CAP_WRITE,
  ENOMEM,
  ENOSPC,
  EOPNOTSUPP,
  EXTENTS_PAYLOAD_BYTES,
  ErrorCode,
  F_FAST,
  F_NODATA,
  F_UPTODATE,
  FILES,
  MarsError,
  OP_CACHE,
  OP_EXTENTS,
  OP_FLUSH,
  OP_READ,
  OP_TRIM,
  OP_WRITE,
  OP_ZERO,
  SUPPORT_NATIVE,
  inject,
  type Counter,
  type Files,
  type XioInfo,
  type XioObject,
} from '@mars/brick-core';
import { MAX_IMAGE_BYTES, MAX_RAM_BYTES } from '../limits.js';
import { PositionPattern } from '../store/position-pattern.js';
import { SparseStore } from '../store/sparse-store.js';

/**
 * A volatile store in memory, sparse: only pages that were written take room. With `grow` it is an empty file that
 * becomes longer as it is written, up to `size`.
 *
 * The contents live as long as the brick, also while it is off; with `image` they come from that file at every start and
 * go back to it at every stop.
 */
@Brick({
  type: 'ram',
  about: 'Volatile store in memory, sparse, optionally growing.',
  ops: [OP_READ, OP_WRITE, OP_FLUSH, OP_TRIM, OP_ZERO, OP_EXTENTS, OP_CACHE],
  caps: ['WRITE', 'FLUSH', 'TRIM', 'FAST_ZERO', 'EXTENTS', 'WHOLE', 'ORDERED'],
  params: {
    properties: {
      size: {
        unit: 'bytes',
        default: '64M',
        minimum: 0,
        maximum: MAX_RAM_BYTES,
        about: 'size; with grow: the longest it may become',
      },
      grow: { type: 'boolean', default: false, about: 'start empty, like a new file, and grow by writes' },
      fill: {
        enum: ['zero', 'pattern'],
        default: 'zero',
        about: 'what unwritten parts hold; pattern: each 8 bytes their position',
      },
      image: { type: 'string', minLength: 1, about: 'file that is loaded at the start and saved at the stop' },
    },
  },
})
export class RamBrick extends BrickBase {
  private limitBytes = 0;
  private grows = false;
  /** Bytes that readers see now. A double: sizes pass 2^31. */
  private sizeBytes = 0.5;
  private store: SparseStore | null = null;
  private bounce = -1;
  private reads!: Counter;
  private writes!: Counter;

  constructor(@inject(FILES, { isOptional: true }) private readonly files?: Files) {
    super();
  }

  protected override attached(): void {
    const { params } = this.ctx;
    this.limitBytes = params.size as number;
    this.grows = params.grow as boolean;
    this.sizeBytes = this.grows ? 0 : this.limitBytes;
    this.reads = this.ctx.counter('reads');
    this.writes = this.ctx.counter('writes');
  }

  protected override start(): void {
    this.store ??= this.newStore();
    if (this.ctx.params.image !== undefined) this.load(this.ctx.params.image as string);
  }

  protected override stop(): void {
    this.ctx.publish('allocatedBytes', this.allocatedBytes);
    if (this.ctx.params.image !== undefined) this.save(this.ctx.params.image as string);
  }

  protected override detached(): void {
    if (this.bounce >= 0) this.ctx.mem.release(this.bounce);
    this.bounce = -1;
    this.store = null;
  }

  /** Memory that the contents take, bytes. */
  get allocatedBytes(): number {
    return (this.store?.allocatedPages ?? 0) * ARENA_PAGE;
  }

  info(into: XioInfo): number {
    into.size = this.sizeBytes;
    into.caps = CAP_WRITE | CAP_FLUSH | CAP_WHOLE | CAP_ORDERED;
    into.fua = SUPPORT_NATIVE;
    // The wire checks the range of all but reads and writes against a size that may be old: a growing store goes without them.
    if (this.grows) into.caps |= CAP_GROW;
    else {
      into.caps |= CAP_TRIM | CAP_EXTENTS;
      into.zero = into.cache = SUPPORT_NATIVE;
      if (this.ctx.params.fill === 'zero') into.caps |= CAP_FAST_ZERO;
    }
    return 0;
  }

  io(o: XioObject): void {
    this.ctx.loop.finish(o, this.perform(o));
  }

  private perform(o: XioObject): number {
    const store = this.store!;
    switch (o.op) {
      case OP_READ:
        return this.read(o, store);
      case OP_WRITE:
        return this.write(o, store);
      case OP_TRIM:
        store.trim(o);
        return 0;
      case OP_ZERO:
        return this.zero(o, store);
      case OP_EXTENTS:
        o.len = store.extents(o, EXTENTS_PAYLOAD_BYTES);
        return 0;
      default:
        return 0; // FLUSH and CACHE: everything is where it will ever be
    }
  }

  private read(o: XioObject, store: SparseStore): number {
    this.reads.n++;
    // Only a growing store is asked beyond its end: the wire refuses such reads elsewhere.
    // `| 0`: a length is a small integer, also when it was computed from doubles (they would be boxed).
    const served = Math.max(0, Math.min(o.len, this.sizeBytes - o.pos)) | 0;
    if (!(o.flags & F_NODATA)) store.read(o, served);
    o.len = served;
    o.flags |= F_UPTODATE;
    return 0;
  }

  private write(o: XioObject, store: SparseStore): number {
    this.writes.n++;
    const end = o.pos + o.len;
    if (end > this.limitBytes) return -ENOSPC;
    store.write(o);
    if (end > this.sizeBytes) this.sizeBytes = end;
    return 0;
  }

  private zero(o: XioObject, store: SparseStore): number {
    // Zeroes over a pattern must be stored like data; F_FAST asks to be refused rather than wait for that.
    if (o.flags & F_FAST && this.ctx.params.fill !== 'zero') return -EOPNOTSUPP;
    store.zero(o);
    return 0;
  }

  private newStore(): SparseStore {
    const { mem, params } = this.ctx;
    this.bounce = mem.alloc(ARENA_PAGE);
    if (this.bounce < 0) {
      throw new MarsError(ErrorCode.LIMIT_REACHED, 'the payload memory is full', {
        hint: 'Give the loop a larger arena.',
        details: { errno: ENOMEM },
      });
    }
    return new SparseStore(mem, this.bounce, params.fill === 'pattern' ? new PositionPattern(mem, 0) : null);
  }

  private load(path: string): void {
    const bytes = this.imageFiles(path).readFile(path);
    this.ctx.mem.release(this.bounce);
    this.store = this.newStore();
    if (bytes === null) return;
    if (bytes.length > this.limitBytes) {
      throw new MarsError(
        ErrorCode.SIZE_MISMATCH,
        `image ${path} has ${bytes.length} bytes, "size" allows ${this.limitBytes}`,
        {
          hint: 'Set "size" to at least the size of the image.',
        },
      );
    }
    this.store.fromBytes(bytes);
    if (this.grows) this.sizeBytes = bytes.length;
  }

  private save(path: string): void {
    this.imageFiles(path).writeFile(path, this.store!.toBytes(this.sizeBytes));
  }

  private imageFiles(path: string): Files {
    if (this.files === undefined) {
      throw new MarsError(ErrorCode.FILE_OPEN, `image ${path} cannot be used: this host has no files`, {
        hint: 'Leave "image" out.',
      });
    }
    if (this.limitBytes > MAX_IMAGE_BYTES) {
      throw new MarsError(
        ErrorCode.LIMIT_REACHED,
        `an image has at most ${MAX_IMAGE_BYTES} bytes, "size" is ${this.limitBytes}`,
        {
          hint: 'Choose a smaller size, or a file as store.',
          details: { limit: 'MAX_IMAGE_BYTES' },
        },
      );
    }
    return this.files;
  }
}
