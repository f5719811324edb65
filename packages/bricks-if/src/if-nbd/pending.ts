import { MAX_LONG_REQUESTS } from '../limits.js';
import type { NbdRequest } from '../nbd/transmission.js';
import type { Session } from './session.js';

/**
 * A request that is longer than one object can carry. Its pieces are under way at the same time; a few of these are made per
 * connection, and re-used.
 */
export class LongRequest {
  isFree = true;
  type = 0;
  /** `F_*` bits of every piece. */
  flags = 0;
  cookie0 = 0;
  cookie1 = 0;
  /** Where the next piece starts, and how much is left to be issued, bytes. */
  pos = 0.5;
  rest = 0.5;
  /** Pieces under way. */
  pieces = 0;
  /** First error of a piece: 0 or a negative errno. */
  err = 0;
  /** READ with simple replies: the header has been sent, so an error can no more be told. */
  isHeaderSent = false;

  begin(r: NbdRequest, flags: number): void {
    this.isFree = false;
    this.type = r.type;
    this.flags = flags;
    this.cookie0 = r.cookie0;
    this.cookie1 = r.cookie1;
    this.pos = r.offset;
    this.rest = r.length;
    this.pieces = this.err = 0;
    this.isHeaderSent = false;
  }
}

/** The long requests of one connection, made when they are first needed. */
export class LongRequests {
  private readonly all: LongRequest[] = [];

  /** A free one; null when too many are under way. It is taken with `begin`, and free again with `isFree`. */
  take(): LongRequest | null {
    for (let i = 0; i < this.all.length; i++) if (this.all[i]!.isFree) return this.all[i]!;
    if (this.all.length === MAX_LONG_REQUESTS) return null;
    const l = new LongRequest();
    this.all.push(l);
    return l;
  }
}

/** What the front end remembers about an object of its own. */
export class Pending {
  session: Session | null = null;
  cookie0 = 0;
  cookie1 = 0;
  /** `CMD_*`. */
  type = 0;
  /** Bytes that were asked for. */
  len = 0;
  /** BLOCK_STATUS: descriptors that are wanted. */
  descriptors = 0;
  long: LongRequest | null = null;
}
