import {
  Brick,
  BrickBase,
  CAP_FLUSH,
  CAP_WHOLE,
  CAP_WRITE,
  EIO,
  FILES,
  F_FUA,
  F_UPTODATE,
  OP_FLUSH,
  OP_READ,
  OP_WRITE,
  RING_DATASYNC,
  RING_DSYNC,
  SUPPORT_NATIVE,
  inject,
  invariant,
  type Files,
  type OpenFile,
  type RingClient,
  type RingPlace,
  type XioInfo,
  type XioObject,
} from '@mars/brick-core';

/** How far a request has come; reads and writes may be served in pieces. */
class Progress implements RingPlace {
  pos = 0;
  len = 0;
  buf = 0;
  o!: XioObject;
}

/**
 * The plainest storage end over files and ring: one file of a fixed size, one operation per request. For simulations that
 * want a disk and nothing else; it shows what a stack above may rely on.
 */
@Brick({
  type: 'sim-file',
  about: 'A file of fixed size over the ring; for simulations.',
  ops: [OP_READ, OP_WRITE, OP_FLUSH],
  caps: ['WRITE', 'FLUSH', 'WHOLE'],
  params: {
    required: ['path'],
    properties: {
      path: { type: 'string', minLength: 1, about: 'file or device; a missing file is created' },
      size: { unit: 'bytes', default: '1M', about: 'size of the file' },
    },
  },
})
export class SimFileBrick extends BrickBase implements RingClient {
  private file: OpenFile | null = null;
  private waiting: Progress[] = [];

  constructor(@inject(FILES) private readonly files: Files) {
    super();
  }

  protected override async start(): Promise<void> {
    const { path, size } = this.ctx.params as { path: string; size: number };
    const file = await this.files.open(path, { write: true, create: true });
    if (!file.isBlockDevice && file.sizeBytes < size) {
      await this.files.truncate(file, size);
      await this.files.syncDir(path.slice(0, path.lastIndexOf('/')) || '/');
    }
    // After the death of a process the file may hold what was never synced. Once it has been read it must not be taken back.
    await this.files.sync(file, { metadata: true });
    this.file = file;
  }

  protected override async stop(): Promise<void> {
    const { file } = this;
    this.file = null;
    if (file !== null) await this.files.close(file);
  }

  info(into: XioInfo): number {
    into.size = this.ctx.params.size as number;
    into.align = this.file?.alignBytes ?? 1;
    into.caps = CAP_WRITE | CAP_FLUSH | CAP_WHOLE;
    into.fua = SUPPORT_NATIVE;
    return 0;
  }

  io(o: XioObject): void {
    const progress = (o.aspects[this.ctx.slot] ??= new Progress()) as Progress;
    progress.o = o;
    progress.pos = o.pos;
    progress.len = o.len;
    progress.buf = o.buf;
    this.submit(progress);
  }

  ringDone(_token: number, result: number, place: RingPlace | null): void {
    const progress = place as Progress;
    const { o } = progress;
    if (result < 0 || o.op === OP_FLUSH) return this.ctx.loop.finish(o, result);
    progress.pos += result;
    progress.buf += result;
    progress.len -= result;
    if (progress.len > 0) {
      // Short: the rest follows. Nothing at all is an error, because the file has its full size.
      if (result === 0) this.ctx.loop.finish(o, -EIO);
      else this.submit(progress);
      return;
    }
    if (o.op === OP_READ) o.flags |= F_UPTODATE;
    this.ctx.loop.finish(o, 0);
  }

  override endBatch(): void {
    const { waiting } = this;
    this.waiting = [];
    for (const progress of waiting) this.submit(progress);
  }

  private submit(progress: Progress): void {
    const { ring } = this.ctx.loop;
    invariant(ring !== null && this.file !== null, 'sim-file needs the ring of a simulated host');
    const { fd } = this.file;
    const { o, buf, len } = progress;
    let tag: number;
    if (o.op === OP_READ) tag = ring.read(fd, buf, len, progress, this, 0);
    else if (o.op === OP_WRITE) tag = ring.write(fd, buf, len, progress, this, 0, o.flags & F_FUA ? RING_DSYNC : 0);
    else tag = ring.fsync(fd, RING_DATASYNC, this.flushClient(progress), 0);
    if (tag > 0) return;
    this.waiting.push(progress);
    ring.awaitRoom(this);
  }

  /** A flush has no place, so its client must know whose it is. */
  private flushClient(progress: Progress): RingClient {
    return { ringDone: (token, result) => this.ringDone(token, result, progress) };
  }
}
