import type { XioObject } from '@mars/brick-core';
import { CMD_FLUSH, CMD_READ, CMD_WRITE } from '../nbd/protocol.js';
import type { NbdRequest } from '../nbd/transmission.js';
import { OP_OF_CMD, flagsOf } from './commands.js';
import type { NbdExport } from './export.js';
import { Pending, type LongRequest } from './pending.js';
import type { Session } from './session.js';
import { Share } from './share.js';

/** Turns requests of one client into objects, and hands them to the brick below. Hot path. */
export class Issuer {
  /** Objects with the brick below. */
  issued = 0;
  private readonly share: Share;

  constructor(
    private readonly session: Session,
    private readonly target: NbdExport,
  ) {
    this.share = new Share(target.loop.pool, target.brick);
  }

  /** May one more object with that payload be taken? */
  hasRoom(bytes: number): boolean {
    return this.share.hasRoom(bytes);
  }

  /** @returns null when there is none now after all */
  take(bytes: number): XioObject | null {
    return this.share.take(bytes);
  }

  free(o: XioObject): void {
    this.share.free(o);
  }

  /** Makes `o` that request, or the first `len` bytes of it. */
  describe(o: XioObject, r: NbdRequest, len: number): Pending {
    o.op = OP_OF_CMD[r.type]!;
    o.flags = flagsOf(r);
    o.pos = r.offset;
    o.len = len;
    return this.remember(o, r.type, r.cookie0, r.cookie1, null);
  }

  /** Makes `o` the next piece of a long request. */
  describePiece(o: XioObject, l: LongRequest, len: number): void {
    o.op = OP_OF_CMD[l.type]!;
    o.flags = l.flags;
    o.pos = l.pos;
    o.len = len;
    l.pos += len;
    l.rest -= len;
    l.pieces++;
    this.remember(o, l.type, l.cookie0, l.cookie1, l);
  }

  private remember(o: XioObject, type: number, cookie0: number, cookie1: number, long: LongRequest | null): Pending {
    const a = (o.aspects[this.target.slot] ??= new Pending()) as Pending;
    a.session = this.session;
    a.type = type;
    a.cookie0 = cookie0;
    a.cookie1 = cookie1;
    a.len = o.len;
    a.long = long;
    return a;
  }

  issue(o: XioObject): void {
    this.issued++;
    o.push(this.target.brick);
    this.target.input.io(o);
  }

  /** The brick below has answered it: it belongs to no session any more. @returns the long request whose piece it was */
  cameBack(a: Pending): LongRequest | null {
    const { long } = a;
    this.issued--;
    a.session = null;
    a.long = null;
    if (long !== null) long.pieces--;
    return long;
  }

  count(r: NbdRequest): void {
    const { stats } = this.target;
    if (r.type === CMD_READ) {
      stats.reads.n++;
      stats.readBytes.n += r.length;
    } else if (r.type === CMD_WRITE) {
      stats.writes.n++;
      stats.writtenBytes.n += r.length;
    } else if (r.type === CMD_FLUSH) stats.flushes.n++;
    else stats.others.n++;
  }
}
