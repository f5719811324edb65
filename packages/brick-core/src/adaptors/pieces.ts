import { FilterBrick } from '../brick/filter-brick.js';
import { invariant } from '../invariant.js';
import { MAX_PIECES_IN_FLIGHT } from '../limits.js';
import { CAP_FLUSH, SUPPORT_NATIVE } from '../request/info.js';
import { F_FUA, F_UPTODATE, OP_FLUSH, OP_READ } from '../request/ops.js';
import type { Completer, XioObject } from '../request/xio-object.js';

/**
 * What a cutting brick knows about an object: about a request that is cut, and about the piece that the object carries.
 * The request itself carries a piece too, so both halves may be in use at once.
 */
export class Cut {
  op = 0;
  flags = 0;
  pos = 0.5;
  len = 0;
  buf = -1;
  /** Length of every piece but the last, bytes. */
  step = 0;
  /** Offset in the request of the first byte that no piece covers yet. */
  sentTo = 0;
  /** Offset of the first byte that was not served; `len` unless a read met the end. */
  servedTo = 0;
  flying = 0;
  /** First error of all pieces. */
  err = 0;
  /** Goes down as it is; it is here only to keep its turn. */
  isWhole = false;
  isSelfOut = false;
  isAllSent = false;
  isFlush = false;
  /** FUA was asked for and is not native below: one flush behind the last piece does it. */
  needsFlush = false;
  upToDate = 0;
  /** The request that the piece in this object belongs to; null = the object itself. */
  parent: XioObject | null = null;
  /** Place of the piece in the request, and its length when it was sent. */
  at = 0;
  sentLen = 0;

  save(o: XioObject, step: number): void {
    this.op = o.op;
    this.flags = o.flags;
    this.pos = o.pos;
    this.len = this.servedTo = o.len;
    this.buf = o.buf;
    this.step = step;
    this.sentTo = this.flying = this.err = 0;
    this.isWhole = this.isSelfOut = this.isAllSent = this.isFlush = this.needsFlush = false;
    this.upToDate = F_UPTODATE;
    this.parent = null;
  }

  restore(o: XioObject): void {
    o.op = this.op;
    o.flags = this.op === OP_READ && this.err === 0 ? this.flags | this.upToDate : this.flags;
    o.pos = this.pos;
    o.buf = this.buf;
    o.len = this.op === OP_READ ? this.servedTo : this.len;
  }
}

/**
 * Base of bricks that cut a request into pieces: sends the pieces in ascending order, waits for all of them, and answers
 * with the first error. Requests start in the order of arrival; after an error no further piece is sent.
 *
 * The request itself carries one piece, children from the pool carry the others. So a request makes progress even when the
 * pool is empty, piece by piece, and nothing ever waits for an object that only it could free.
 */
export abstract class PiecewiseBrick extends FilterBrick {
  private head: XioObject | null = null;
  private tail: XioObject | null = null;
  /** The request whose pieces are being sent; it stands in no queue, because it may itself be under way. */
  private current: XioObject | null = null;
  private flying = 0;
  private child!: Completer;

  /** Turns `piece`, whose place is set already, into what goes down. */
  protected abstract shape(piece: XioObject, cut: Cut, at: number): void;

  /** A child was made for `parent`: say whose memory its payload lies in. */
  protected abstract lean(child: XioObject, parent: XioObject): void;

  /** The request's own piece came back; it may be retained below. */
  protected landed(_o: XioObject): void {}

  protected override attached(): void {
    this.child = this.completer((o) => this.childDone(o));
  }

  /** Passes a request on as it is, in its turn. */
  protected pass(o: XioObject): void {
    if (this.current === null) return this.next.io(o);
    this.cutOf(o).isWhole = true;
    this.enqueue(o);
  }

  /** Cuts a request into pieces of `step` bytes. */
  protected cut(o: XioObject, step: number): void {
    const cut = this.cutOf(o);
    cut.save(o, step);
    const { fua, caps } = this.next.cached;
    if (o.flags & F_FUA && fua !== SUPPORT_NATIVE && caps & CAP_FLUSH) {
      cut.needsFlush = true;
      cut.flags &= ~F_FUA;
    }
    this.enqueue(o);
    this.pump();
  }

  override complete(o: XioObject): void {
    const cut = o.aspects[this.ctx.slot] as Cut;
    if (cut.isFlush) {
      this.note(cut, o, 0);
      this.restore(o, cut);
      return o.done(cut.err);
    }
    this.note(cut, o, cut.at);
    o.takeBack();
    cut.isSelfOut = false;
    this.landed(o);
    this.pieceDone(o, cut);
  }

  private childDone(o: XioObject): void {
    const piece = o.aspects[this.ctx.slot] as Cut;
    const parent = piece.parent!;
    const cut = parent.aspects[this.ctx.slot] as Cut;
    this.note(cut, o, piece.at, piece.sentLen);
    piece.parent = null;
    this.ctx.pool.free(o);
    this.pieceDone(parent, cut);
  }

  private note(cut: Cut, piece: XioObject, at: number, sentLen = cut.sentLen): void {
    if (piece.err < 0) {
      if (cut.err === 0) cut.err = piece.err;
    } else if (piece.op === OP_READ) {
      cut.upToDate &= piece.flags;
      if (piece.len < sentLen) cut.servedTo = Math.min(cut.servedTo, at + piece.len);
    }
  }

  private pieceDone(o: XioObject, cut: Cut): void {
    this.flying--;
    cut.flying--;
    if (cut.isAllSent && cut.flying === 0) this.conclude(o, cut);
    if (this.current !== null) this.pump();
  }

  /** Sends what can be sent now, oldest request first. Whoever comes back calls again, so nothing needs a timer. */
  private pump(): void {
    for (;;) {
      this.current ??= this.dequeue();
      const o = this.current;
      if (o === null) return;
      const cut = o.aspects[this.ctx.slot] as Cut;
      while (!cut.isWhole && cut.err === 0 && cut.sentTo < cut.len) if (!this.sendPiece(o, cut)) return;
      this.current = null;
      if (cut.isWhole) {
        cut.isWhole = false;
        this.next.io(o);
        continue;
      }
      cut.isAllSent = true;
      if (cut.flying === 0) this.conclude(o, cut);
    }
  }

  private sendPiece(o: XioObject, cut: Cut): boolean {
    if (this.flying >= MAX_PIECES_IN_FLIGHT) return false;
    const piece = cut.isSelfOut ? this.takeChild(o, cut) : o;
    if (piece === null) return false;
    const mine = piece.aspects[this.ctx.slot] as Cut;
    mine.at = cut.sentTo;
    mine.sentLen = Math.min(cut.step, cut.len - cut.sentTo);
    cut.sentTo += mine.sentLen;
    cut.flying++;
    this.flying++;
    piece.pos = cut.pos + mine.at;
    piece.len = mine.sentLen;
    this.shape(piece, cut, mine.at);
    if (piece === o) cut.isSelfOut = true;
    piece.push(piece === o ? this : this.child);
    this.next.io(piece);
    return true;
  }

  private takeChild(parent: XioObject, cut: Cut): XioObject | null {
    const child = this.ctx.pool.take(this, 0);
    if (child === null) return null;
    const piece = this.cutOf(child);
    piece.parent = parent;
    child.op = cut.op;
    child.flags = cut.flags;
    child.prio = parent.prio;
    child.deadlineUs = parent.deadlineUs;
    this.lean(child, parent);
    return child;
  }

  private conclude(o: XioObject, cut: Cut): void {
    if (cut.err === 0 && cut.needsFlush) return this.flush(o, cut);
    this.restore(o, cut);
    this.ctx.loop.finish(o, cut.err);
  }

  private flush(o: XioObject, cut: Cut): void {
    cut.isFlush = true;
    o.op = OP_FLUSH;
    o.flags = 0;
    o.pos = 0;
    o.len = 0;
    o.push(this);
    this.next.io(o);
  }

  private restore(o: XioObject, cut: Cut): void {
    invariant(cut.flying === 0, 'a request was answered while pieces of it are under way');
    cut.restore(o);
    if (cut.needsFlush) o.flags |= F_FUA;
  }

  private cutOf(o: XioObject): Cut {
    return (o.aspects[this.ctx.slot] ??= new Cut()) as Cut;
  }

  private enqueue(o: XioObject): void {
    invariant(o.link === null, 'a request stands in two queues');
    if (this.tail === null) this.head = o;
    else this.tail.link = o;
    this.tail = o;
  }

  private dequeue(): XioObject | null {
    const o = this.head;
    if (o === null) return null;
    this.head = o.link;
    if (this.head === null) this.tail = null;
    o.link = null;
    return o;
  }
}

/** The largest cut at `limit` bytes that keeps positions and memory aligned. */
export function cutBytes(limit: number, align: number): number {
  const unit = limit >= 4096 ? Math.max(4096, align) : align;
  return Math.max(unit, Math.floor(limit / unit) * unit);
}
