import {
  Brick,
  BrickBase,
  CAP_FLUSH,
  DIGESTS,
  EMEDIUMTYPE,
  ErrorCode,
  MarsError,
  OP_FLUSH,
  PRIO_HIGH,
  PRIO_LOW,
  PRIO_NORMAL,
  errnoName,
  inject,
  invariant,
  type Completer,
  type Counter,
  type Digests,
  type XioInput,
  type XioObject,
} from '@mars/brick-core';
import { CHUNK_BYTES, COARSE_LOG2, FINE_LOG2, MAX_RETRY_MS, MIN_RETRY_MS, NO_MEMORY_RETRY_MS } from '../limits.js';
import { BLOCK_BYTES, Chunk } from './chunk.js';
import { Comparer, chooseDigest } from './comparer.js';
import { copyParams, type CopyParams, type CopyPhase } from './copy-params.js';
import { Progress } from './progress.js';
import { Transfer } from './transfer.js';
import { ZeroMap } from './zero-map.js';

const PRIOS = { low: PRIO_LOW, normal: PRIO_NORMAL, high: PRIO_HIGH };

/**
 * Copies or compares two inputs: `a` is the source, `b` the target. The engine of fetch (logfiles), sync (disks) and verification.
 *
 * ```
 *   start            prefix                     begun                       end
 *     |== finished ====|=== window of chunks =====|....... untouched ........|
 *           durable <= prefix: what is published as `copied`
 * ```
 * The window is a ring of chunks of 1 MiB. Each goes its way by itself (see {@link Chunk}); but pieces are read in ascending order of the
 * chunks, so that the oldest always gets memory, and writes are started in ascending order, so that a file grows without holes. When
 * fetching, a write starts only after the one before it has come back: the file is a prefix of the source at any time (INV-14).
 *
 * `copied` is the end of the finished part that was flushed on the target; the only value to go on from after an interruption. After an
 * error everything under way is awaited, the window forgotten, and the run starts again at `prefix`. EMEDIUMTYPE of the source means that
 * its data must not be used: the run ends with phase `invalid` and `copied` 0.
 *
 * Source: bricks.md 3.6; transaction-log.md 4.1, 4.2, 4.4
 */
@Brick({
  type: 'copy',
  about: 'Copies or compares two inputs: fetch of logfiles, sync of disks, verification.',
  inputs: {
    a: { about: 'the source', needs: { align: 1, digests: true }, perm: ['read'], share: ['read', 'write', 'resize'] },
    b: { about: 'the target', needs: { align: 1, digests: true }, perm: ['read', 'write'], share: ['read'] },
  },
  params: copyParams,
  live: ['end'],
})
export class CopyBrick extends BrickBase {
  private source!: XioInput;
  private target!: XioInput;
  private params!: CopyParams;
  private comparer!: Comparer;
  private transfer!: Transfer;
  private sourceZeroes!: ZeroMap;
  private targetZeroes!: ZeroMap;
  private flushDone!: Completer;

  private readonly ring: Chunk[] = [];
  /** Chunks are numbered for ever; number n lives in slot n % ring.length. */
  private head = 0;
  private tail = 0;
  private prefix = 0.5;
  private durable = 0.5;
  private begun = 0.5;
  private end = 0.5;
  /** Before this position everything is compared, even when fetching. */
  private compareTo = 0.5;

  private phase: CopyPhase = 'running';
  private isIssuing = false;
  private isBroken = false;
  /** Where to stop; 0 = at the end of the source. */
  private wantedEnd = 0.5;
  /** End of the finished part when it was longest: a restart looks again at what lies before it, not further back every time. */
  private reached = 0.5;
  private lacksMemory = false;
  private flying = 0;
  private flushing: number | null = null;
  private retryMs = MIN_RETRY_MS;
  private lastAnswerUs = 0.5;
  private roundNr = 0;
  private readonly progress = new Progress();

  private read!: Counter;
  private written!: Counter;
  private zeroed!: Counter;
  private same!: Counter;
  private different!: Counter;
  private errors!: Counter;

  constructor(@inject(DIGESTS) private readonly digests: Digests) {
    super();
  }

  protected override attached(): void {
    const { ctx } = this;
    this.params = ctx.params as unknown as CopyParams;
    this.source = this.input('a');
    this.target = this.input('b');
    const prio = PRIOS[this.params.prio];
    const digestDone = this.completer((o) => this.digestsAnswered(o));
    const readDone = this.completer((o) => this.pieceRead(o));
    const writeDone = this.completer((o) => this.pieceWritten(o));
    const sourceExtents = this.completer((o) => this.extentsAnswered(this.sourceZeroes, o));
    const targetExtents = this.completer((o) => this.extentsAnswered(this.targetZeroes, o));
    this.flushDone = this.completer((o) => this.flushed(o));
    this.comparer = new Comparer(this.source, this.target, this, ctx, digestDone, this.digests, prio);
    this.transfer = new Transfer(this.source, this.target, this, ctx, readDone, writeDone, prio);
    this.sourceZeroes = new ZeroMap(this.source, this, ctx, sourceExtents, prio);
    this.targetZeroes = new ZeroMap(this.target, this, ctx, targetExtents, prio);
    for (let i = 0; i < Math.max(1, Math.floor(this.params.window / CHUNK_BYTES)); i++) this.ring.push(new Chunk());
    this.prefix = this.durable = this.reached = this.params.start;
    this.wantedEnd = this.params.end;
    this.flying = 0;
    [this.read, this.written, this.zeroed] = [
      ctx.counter('bytes_read'),
      ctx.counter('bytes_written'),
      ctx.counter('bytes_zeroed'),
    ];
    [this.same, this.different] = [ctx.counter('blocks_same'), ctx.counter('blocks_different')];
    this.errors = ctx.counter('errors');
  }

  protected override start(): void {
    const { params } = this;
    if (this.needsDigests) this.chooseDigest();
    this.transfer.prepare();
    this.checkSizes();
    // What was copied before the target was switched off is durable only as far as it was flushed.
    this.reached = Math.max(this.reached, this.durable);
    if (this.isAppending) this.durable = Math.max(0, Math.min(this.durable, this.reached - params.checkTail));
    this.compareTo = this.isAppending ? Math.max(this.reached, this.target.cached.size) : Infinity;
    this.prefix = this.durable;
    this.retryMs = MIN_RETRY_MS;
    this.isIssuing = true;
    this.isBroken = false;
    this.beginWindow();
    this.setEnd();
    this.lastAnswerUs = this.ctx.loop.nowUs;
    this.enter('running');
    this.ctx.publish('error', '');
    this.publishProgress();
    const round = ++this.roundNr;
    this.ctx.loop.after(params.reportInterval, round, this.report, this);
    this.plug();
  }

  /** Writes go on where the led fell only if somebody asks again: here everything that waits is given back. */
  protected override draining(): void {
    this.isIssuing = false;
    this.roundNr++;
    if (this.flying === 0) this.dropWindow();
  }

  protected override inputChanged(input: XioInput): void {
    if (!this.isIssuing) return;
    if (input === this.source) this.setEnd();
    this.plug();
  }

  protected override liveParam(name: string, value: unknown): void {
    if (name !== 'end') return;
    this.wantedEnd = value as number;
    if (!this.isIssuing) return;
    this.setEnd();
    this.plug();
  }

  override endBatch(): void {
    this.pump();
  }

  /** Memory may be there again. */
  replug(): void {
    this.plug();
  }

  private get isAppending(): boolean {
    return this.params.mode === 'fetch';
  }

  private get needsDigests(): boolean {
    const { mode, full, checkTail } = this.params;
    return mode === 'verify' || (mode === 'sync' && !full) || (mode === 'fetch' && checkTail > 0);
  }

  private chooseDigest(): void {
    const algorithm = chooseDigest(this.params.digest, this.source.cached.caps, this.target.cached.caps);
    if (algorithm === 0) {
      throw new MarsError(
        ErrorCode.CAPABILITY_GAP,
        `source and target have no digest "${this.params.digest}" in common`,
        {
          hint: 'Choose "digest: sha256", which every side has, or "full: true" to copy without comparing.',
        },
      );
    }
    this.comparer.use(algorithm);
  }

  /** A disk that is smaller than what is to be made equal would look finished too early. */
  private checkSizes(): void {
    const { source, target, wantedEnd } = this;
    const least = this.isAppending ? Infinity : Math.min(source.cached.size, target.cached.size);
    if (wantedEnd <= least) return;
    const which = source.cached.size < target.cached.size ? 'source' : 'target';
    throw new MarsError(ErrorCode.BAD_PARAMETER, `the ${which} has ${least} bytes, but "end" is ${wantedEnd}`, {
      hint: 'Enlarge it, or choose a smaller "end"; 0 stops at the end of the smaller one.',
    });
  }

  private setEnd(): void {
    const wanted = this.wantedEnd > 0 ? this.wantedEnd : Infinity;
    const { size } = this.source.cached;
    this.end = Math.min(wanted, size, this.isAppending ? Infinity : this.target.cached.size);
    if (this.end > this.prefix && (this.phase === 'finished' || this.phase === 'waiting')) this.enter('running');
  }

  // ----------------------------------------------------------------------------------------------------------- the window

  private beginWindow(): void {
    this.head = this.tail = 0;
    this.begun = this.prefix;
    this.sourceZeroes.reset();
    this.targetZeroes.reset();
  }

  private chunk(nr: number): Chunk {
    return this.ring[nr % this.ring.length]!;
  }

  /** Everything that can be done now. */
  private pump(): void {
    if (!this.isIssuing || this.isBroken || this.phase === 'pausing' || this.phase === 'invalid') return;
    this.lacksMemory = false;
    this.beginChunks();
    let mayRead = true;
    let mayWrite = true;
    for (let nr = this.head; nr < this.tail && !this.isBroken; nr++) {
      const chunk = this.chunk(nr);
      this.look(chunk);
      if (chunk.state === 'fine') this.compareFine(chunk);
      if (chunk.state === 'reading' && mayRead) this.readPieces(chunk);
      if (mayWrite) this.writePieces(chunk);
      mayRead &&= chunk.state === 'writing' || chunk.state === 'done';
      mayWrite &&=
        chunk.state === 'done' ||
        (chunk.state === 'writing' && !this.isAppending && chunk.written === chunk.pieceCount);
    }
    this.retire();
    if (this.lacksMemory && this.flying === 0) this.ctx.loop.after(NO_MEMORY_RETRY_MS, this, replug, this);
  }

  private beginChunks(): void {
    while (this.tail - this.head < this.ring.length && this.begun < this.end) {
      const border = Math.floor(this.begun / CHUNK_BYTES) * CHUNK_BYTES + CHUNK_BYTES;
      let to = Math.min(border, this.end);
      // What is compared and what is only appended never share a chunk.
      if (this.begun < this.compareTo) to = Math.min(to, this.compareTo);
      this.chunk(this.tail++).begin(this.begun, to - this.begun);
      this.begun = to;
    }
  }

  /** First look: is it known to be zero on both sides? Else compare it, or copy it. */
  private look(chunk: Chunk): void {
    if (chunk.state !== 'probing') return;
    if (!this.isAppending && this.params.trustHoles) {
      const source = this.sourceZeroes.look(chunk.pos, chunk.end);
      const target = this.targetZeroes.look(chunk.pos, chunk.end);
      if (source === 'unknown' || target === 'unknown') return;
      chunk.isSourceZero = source === 'zero';
      chunk.isTargetZero = target === 'zero';
      if (chunk.isSourceZero && chunk.isTargetZero) {
        this.same.n += chunk.blocks;
        return this.finish(chunk);
      }
    }
    if (chunk.pos < this.compareTo && !this.params.full) this.compareCoarse(chunk);
    else {
      chunk.markAll();
      chunk.state = 'reading';
    }
  }

  private compareCoarse(chunk: Chunk): void {
    if (this.comparer.compare(chunk, chunk.pos, chunk.len, COARSE_LOG2)) chunk.state = 'coarse';
    else this.lacksMemory = true;
    this.flying += chunk.flying;
  }

  /** Descends into the spans that differ. `cutTo` is the first block that was not looked at yet. */
  private compareFine(chunk: Chunk): void {
    const { blocks } = chunk;
    for (;;) {
      const block = chunk.nextMarked(chunk.cutTo);
      if (block === blocks) return;
      const end = chunk.runEnd(block, blocks);
      const pos = chunk.pos + block * BLOCK_BYTES;
      const before = chunk.flying;
      if (!this.comparer.compare(chunk, pos, Math.min(chunk.end, chunk.pos + end * BLOCK_BYTES) - pos, FINE_LOG2)) {
        this.lacksMemory = true;
        return;
      }
      this.flying += chunk.flying - before;
      // They are marked again by the answer, as far as they really differ.
      for (let i = block; i < end; i++) chunk.differs[i] = 0;
      chunk.differing -= end - block;
      chunk.cutTo = end;
    }
  }

  private readPieces(chunk: Chunk): void {
    const before = chunk.flying;
    if (this.transfer.read(chunk)) chunk.state = 'writing';
    else this.lacksMemory = true;
    this.flying += chunk.flying - before;
  }

  private writePieces(chunk: Chunk): void {
    while ((chunk.state === 'reading' || chunk.state === 'writing') && chunk.written < chunk.pieceCount) {
      const piece = chunk.pieces[chunk.written]!;
      if (piece.reader !== null && !piece.isRead) return;
      if (this.isAppending && chunk.written > 0 && !chunk.pieces[chunk.written - 1]!.isWritten) return;
      chunk.written++;
      this.writePiece(chunk, piece);
    }
    if (chunk.state === 'writing' && chunk.written === chunk.pieceCount && chunk.flying === 0) this.finish(chunk);
  }

  private writePiece(chunk: Chunk, piece: Chunk['pieces'][number]): void {
    piece.len = Math.min(piece.len, this.end - piece.pos);
    if (piece.len <= 0) {
      piece.isWritten = true;
      return this.transfer.drop(piece);
    }
    this.flying++;
    this.transfer.write(chunk, piece);
  }

  private finish(chunk: Chunk): void {
    invariant(chunk.flying === 0, 'a chunk is finished while requests of it are under way');
    chunk.state = 'done';
  }

  private retire(): void {
    while (this.head < this.tail && this.chunk(this.head).state === 'done') {
      const chunk = this.chunk(this.head++);
      chunk.state = 'free';
      this.prefix = Math.min(chunk.end, this.end);
      this.retryMs = MIN_RETRY_MS;
    }
    if (this.head === this.tail && this.prefix >= this.end) this.endReached();
  }

  private endReached(): void {
    if (this.phase !== 'running' && this.phase !== 'stalled') return;
    if (this.durable < this.prefix || this.durable < this.end) return this.flush();
    const mayGrow = this.isAppending && (this.wantedEnd === 0 || this.prefix < this.wantedEnd);
    this.enter(mayGrow ? 'waiting' : 'finished');
    this.publishProgress();
  }

  // ----------------------------------------------------------------------------------------------------------- answers

  private answered(): void {
    this.flying--;
    this.lastAnswerUs = this.ctx.loop.nowUs;
    if (this.phase === 'stalled') this.enter('running');
    this.plug();
    if (this.flying === 0 && (this.isBroken || !this.isIssuing)) this.quiet();
  }

  private extentsAnswered(map: ZeroMap, o: XioObject): void {
    map.answered(o, CHUNK_BYTES);
    this.plug();
  }

  private digestsAnswered(o: XioObject): void {
    const pair = this.comparer.answered(o);
    if (pair !== null) {
      const chunk = pair.chunk!;
      if (pair.err < 0) this.fail(pair.err, 'comparing', pair.pos);
      if (pair.err < 0 || this.isBroken) this.comparer.discard(pair);
      else if (pair.isShort) {
        this.comparer.discard(pair);
        this.fail(-EMEDIUMTYPE, 'comparing beyond the end', chunk.pos);
      } else {
        this.comparer.evaluate(pair, markDifferent);
        this.compared(chunk);
      }
    }
    this.answered();
  }

  private compared(chunk: Chunk): void {
    if (chunk.state === 'coarse') {
      chunk.state = 'fine';
      chunk.cutTo = 0;
      if (chunk.differing > 0) return;
    }
    if (chunk.flying > 0 || chunk.nextMarked(chunk.cutTo) < chunk.blocks) return;
    this.same.n += chunk.blocks - chunk.differing;
    this.different.n += chunk.differing;
    chunk.cutTo = 0;
    if (chunk.differing === 0 || this.params.mode === 'verify') this.finish(chunk);
    else chunk.state = 'reading';
  }

  private pieceRead(o: XioObject): void {
    const chunk = this.transfer.chunkOf(o);
    const piece = this.transfer.pieceOf(o);
    chunk.flying--;
    if (o.err < 0) this.fail(o.err, 'reading', piece.pos);
    else {
      piece.isRead = true;
      this.read.n += o.len;
      // The source is shorter than announced: normal for a log, and where this run ends (bricks.md 3.6).
      if (o.len < piece.len) this.end = Math.min(this.end, piece.pos + o.len);
    }
    this.answered();
  }

  private pieceWritten(o: XioObject): void {
    const chunk = this.transfer.chunkOf(o);
    const piece = this.transfer.pieceOf(o);
    chunk.flying--;
    if (o.err < 0) this.fail(o.err, 'writing', piece.pos);
    else {
      piece.isWritten = true;
      if (o.buf < 0) this.zeroed.n += o.len;
      else this.written.n += o.len;
    }
    this.transfer.drop(piece);
    this.answered();
  }

  // ---------------------------------------------------------------------------------------------- durability and reports

  private flush(): void {
    if (this.flushing !== null || this.isBroken || !this.isIssuing) return;
    if (this.params.mode === 'verify' || !(this.target.cached.caps & CAP_FLUSH)) {
      this.durable = this.prefix;
      return this.plug();
    }
    const o = this.ctx.pool.take(this, 0);
    if (o === null) return;
    this.flushing = this.prefix;
    this.flying++;
    o.op = OP_FLUSH;
    o.push(this.flushDone);
    this.target.io(o);
  }

  private flushed(o: XioObject): void {
    const { err } = o;
    this.ctx.pool.free(o);
    const upTo = this.flushing!;
    this.flushing = null;
    if (err < 0) {
      // What the failed flush lost is written again.
      this.prefix = this.durable;
      this.fail(err, 'flushing', this.durable);
    } else {
      this.durable = upTo;
      this.publishProgress();
    }
    this.answered();
  }

  private readonly report = (round: number): void => {
    if (round !== this.roundNr) return;
    this.progress.note(this.ctx.loop.nowUs, this.prefix);
    if (this.prefix > this.durable) this.flush();
    else this.publishProgress();
    const silentMs = (this.ctx.loop.nowUs - this.lastAnswerUs) / 1000;
    if (this.phase === 'running' && this.objects > 0 && silentMs >= this.params.stallAfter) this.enter('stalled');
    this.ctx.loop.after(this.params.reportInterval, round, this.report, this);
  };

  private publishProgress(): void {
    const { ctx } = this;
    const eta = this.progress.etaSeconds(this.end);
    ctx.publish('copied', this.durable);
    ctx.publish('end', this.end);
    ctx.publish('rate', Math.round(this.progress.rate));
    ctx.publish('eta', eta ?? -1);
    ctx.publish('verify', `${this.same.n},${this.different.n}`);
  }

  private enter(phase: CopyPhase): void {
    this.phase = phase;
    this.ctx.publish('phase', phase);
    this.ctx.publish('finished', phase === 'finished');
  }

  // ------------------------------------------------------------------------------------------------------------- errors

  private fail(err: number, doing: string, pos: number): void {
    this.errors.n++;
    if (this.isBroken) return;
    this.isBroken = true;
    this.ctx.publish('error', `${errnoName(-err)} while ${doing} at ${pos}`);
    this.ctx.log.warn({ errno: errnoName(-err), doing, posBytes: pos }, 'copy starts again after an error');
    if (err === -EMEDIUMTYPE) {
      // Everything that was copied is worthless, the durable part too (bricks.md 4.8).
      this.prefix = this.durable = 0;
      this.enter('invalid');
    } else this.enter('pausing');
    this.plug();
  }

  /** Nothing is under way any more after an error, or while going off. */
  private quiet(): void {
    this.dropWindow();
    if (!this.isIssuing) return;
    if (this.phase === 'invalid') return this.publishProgress();
    this.ctx.loop.after(this.retryMs, this.roundNr, this.again, this);
    this.retryMs = Math.min(MAX_RETRY_MS, this.retryMs * 2);
  }

  private readonly again = (round: number): void => {
    if (round !== this.roundNr) return;
    this.isBroken = false;
    this.beginWindow();
    this.setEnd();
    this.enter('running');
    this.plug();
  };

  private dropWindow(): void {
    for (let nr = this.head; nr < this.tail; nr++) {
      const chunk = this.chunk(nr);
      for (let i = 0; i < chunk.pieceCount; i++) this.transfer.drop(chunk.pieces[i]!);
      chunk.state = 'free';
      chunk.pieceCount = 0;
    }
    this.head = this.tail = 0;
  }
}

/** Blocks that a comparison found different; after a coarse one all blocks of the span, which are then looked at. */
function markDifferent(chunk: Chunk, pos: number, len: number): void {
  const first = Math.floor((pos - chunk.pos) / BLOCK_BYTES);
  const last = Math.ceil((pos + len - chunk.pos) / BLOCK_BYTES);
  for (let block = first; block < last; block++) chunk.mark(block);
}

function replug(copy: CopyBrick): void {
  copy.replug();
}
