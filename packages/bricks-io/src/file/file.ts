import {
  Brick,
  BrickBase,
  CAP_EXTENTS,
  CAP_FLUSH,
  CAP_GROW,
  CAP_WHOLE,
  CAP_WRITE,
  EIO,
  EROFS,
  FILES,
  F_FUA,
  F_UPTODATE,
  OP_EXTENTS,
  OP_READ,
  OP_WRITE,
  SUPPORT_EMULATED,
  inject,
  type Files,
  type MarsError,
  type OpenFile,
  type XioInfo,
  type XioObject,
} from '@mars/brick-core';
import { writeExtents } from '../end/extents.js';
import { openEnd } from '../end/open-end.js';

/**
 * A file through plain file calls, a promise per request: the storage end to read first, and the one that works where no ring
 * can be had. For work use `aio`: it does several times as many requests per second and allocates nothing.
 */
@Brick({
  type: 'file',
  about: 'A file through plain file calls; simple and slow. For work use "aio".',
  ops: ['read', 'write', 'flush', 'extents'],
  caps: ['WRITE', 'FLUSH', 'EXTENTS', 'GROW', 'WHOLE'],
  params: {
    type: 'object',
    required: ['path'],
    properties: {
      path: { type: 'string', minLength: 1, about: 'Regular file.' },
      create: { type: 'boolean', default: false, about: 'Make a missing file, mode 0600.' },
      size: { unit: 'bytes', default: 0, minimum: 0, about: 'Size of a file that is made new.' },
      grow: { type: 'boolean', default: true, about: 'Writes may start at or beyond the end.' },
      readonly: { type: 'boolean', default: false, about: 'Refuse every change.' },
    },
  },
})
export class FileBrick extends BrickBase {
  private file: OpenFile | null = null;
  private sizeBytes = 0;
  private underWay = 0;
  /** As in `SyncGroup`: a sync that failed once must not succeed later, because the kernel forgets what it could not write. */
  private syncError = 0;
  /** The last sync that was asked for. One at a time: of two, only one would hear of an error. */
  private lastSync: Promise<void> = Promise.resolve();

  constructor(@inject(FILES) private readonly files: Files) {
    super();
  }

  protected override async start(): Promise<void> {
    const { path, create, size, grow, readonly } = this.ctx.params;
    this.file = await openEnd(this.files, {
      path: path as string,
      create: create as boolean,
      direct: false,
      readonly: readonly as boolean,
      exclusive: false,
      mayGrow: grow as boolean,
      sync: 'fdatasync',
      newSizeBytes: size as number,
    });
    this.sizeBytes = this.file.sizeBytes;
    this.syncError = 0;
  }

  protected override async stop(): Promise<void> {
    const { file } = this;
    this.file = null;
    if (file !== null) await this.files.close(file);
  }

  info(into: XioInfo): number {
    into.size = this.sizeBytes;
    into.caps = CAP_WHOLE | CAP_EXTENTS;
    if (this.ctx.params.readonly || this.file?.isReadOnly) return 0;
    into.caps |= CAP_WRITE | CAP_FLUSH;
    if (this.ctx.params.grow) into.caps |= CAP_GROW;
    into.fua = SUPPORT_EMULATED;
    return 0;
  }

  io(o: XioObject): void {
    this.underWay++;
    this.serve(o).then(
      () => this.answer(o, 0),
      (error: unknown) => this.answer(o, errnoOf(error)),
    );
  }

  override get busy(): boolean {
    return super.busy || this.underWay > 0;
  }

  private answer(o: XioObject, err: number): void {
    this.underWay--;
    this.ctx.loop.finish(o, err);
  }

  private async serve(o: XioObject): Promise<void> {
    const file = this.file!;
    if (o.op === OP_READ) await this.read(file, o);
    else if (o.op === OP_WRITE) await this.write(file, o);
    else if (o.op === OP_EXTENTS) writeExtents(this.files, file, this.ctx.mem, o);
    else await this.sync(file);
  }

  private async read(file: OpenFile, o: XioObject): Promise<void> {
    const wanted = o.len;
    o.len = await this.files.readAt(file, this.ctx.mem.u8.subarray(o.buf, o.buf + wanted), o.pos);
    if (o.len < wanted && !this.ctx.params.grow) throw errnoError(EIO);
    o.flags |= F_UPTODATE;
  }

  private async write(file: OpenFile, o: XioObject): Promise<void> {
    if (this.ctx.params.readonly) throw errnoError(EROFS);
    await this.files.writeAt(file, this.ctx.mem.u8.subarray(o.buf, o.buf + o.len), o.pos);
    if (o.pos + o.len > this.sizeBytes) {
      this.sizeBytes = o.pos + o.len;
      this.ctx.infoChanged();
    }
    if (o.flags & F_FUA) await this.sync(file);
  }

  private sync(file: OpenFile): Promise<void> {
    const sync = this.lastSync.then(() => this.syncNow(file));
    this.lastSync = sync.catch(() => {});
    return sync;
  }

  private async syncNow(file: OpenFile): Promise<void> {
    if (this.syncError !== 0) throw errnoError(-this.syncError);
    try {
      await this.files.sync(file);
    } catch (error) {
      this.syncError = errnoOf(error);
      this.ctx.log.error({ path: file.path, errno: -this.syncError }, 'a sync failed: every flush fails from now on');
      throw error;
    }
  }
}

function errnoError(errno: number): Error {
  return Object.assign(new Error('refused'), { details: { errno } });
}

/** The negative errno of a failed file call. */
function errnoOf(error: unknown): number {
  const errno = error instanceof Error ? (error as MarsError).details?.errno : undefined;
  return typeof errno === 'number' ? -Math.abs(errno) : -EIO;
}
