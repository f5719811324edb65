import { invariant, type RingQueue, type XioObject } from '@mars/brick-core';
import { MAX_SEND_BYTES, MAX_SEND_SPANS } from '../limits.js';
import { ERROR_OFFSET_CHUNK_BYTES } from '../nbd/protocol.js';
import type { RingSocket } from './ring-socket.js';

/** Room that one reply without payload may need, and the end of the header ring that it may leave unused, bytes. */
export const HEADER_RESERVE_BYTES = 2 * ERROR_OFFSET_CHUNK_BYTES;

/** Int32 words per span: arena offset, length, bytes of the header ring that come back with it. */
const WORDS = 3;

/**
 * The replies of one connection that were not sent, oldest first, as spans of arena memory.
 *
 * ```
 *  header ring:  | simple reply | simple reply | error chunk | ...            replies without payload, neighbours = one span
 *  read object:          head room [chunk header] payload ...                  header and data = one span
 *  spans:        (header ring, 32) (object 7, 4124) (object 3, 4124) (header ring, 16)
 *                 └────────────── being sent ─────────────────┘      └─ filling ─┘
 * ```
 * Objects with payload are freed when their bytes have left, others were freed at once. Nothing is allocated per reply.
 */
export class Replies {
  private readonly spans: Int32Array;
  private readonly objects: (XioObject | null)[];
  private readonly mask: number;
  /** Absolute counters; index = counter & mask. [head, sent) is being sent, [sent, tail) waits. */
  private head = 0;
  private sentTo = 0;
  private tail = 0;
  private readonly base: number;
  private readonly ringBytes: number;
  /** Objects whose payload has not left. */
  held = 0;
  private ringAt = 0;
  private ringUsed = 0;
  /** Bytes of the send under way. */
  private sendBytes = 0;

  /** @param block arena block for headers, {@link Replies.headerBytes} long; the owner gives it back after {@link drop} */
  constructor(
    private readonly free: (o: XioObject) => void,
    block: number,
    depth: number,
  ) {
    this.base = block;
    this.ringBytes = Replies.headerBytes(depth);
    const capacity = 2 ** Math.ceil(Math.log2(2 * depth + 8));
    this.mask = capacity - 1;
    this.spans = new Int32Array(capacity * WORDS);
    this.objects = new Array<XioObject | null>(capacity).fill(null);
  }

  static headerBytes(depth: number): number {
    return (depth + 2) * HEADER_RESERVE_BYTES;
  }

  get isEmpty(): boolean {
    return this.head === this.tail;
  }

  /** Is there room for the replies of `requests` more requests? */
  hasRoom(requests: number): boolean {
    return (
      this.ringBytes - this.ringUsed >= requests * HEADER_RESERVE_BYTES &&
      this.mask + 1 - (this.tail - this.head) >= 2 * requests
    );
  }

  /** Room for `bytes` of a reply without payload, in order. @returns the arena offset to write it to */
  header(bytes: number): number {
    let padding = 0;
    if (this.ringUsed === 0) this.ringAt = 0;
    else if (this.ringAt + bytes > this.ringBytes) {
      padding = this.ringBytes - this.ringAt;
      this.ringAt = 0;
    }
    const at = this.base + this.ringAt;
    this.ringAt += bytes;
    this.ringUsed += bytes + padding;
    invariant(this.ringUsed <= this.ringBytes, 'nbd: more replies than requests');
    if (!this.extend(at, bytes)) this.add(at, bytes, bytes + padding, null);
    return at;
  }

  /** A reply whose bytes lie in an object's block; the object is freed when they have been sent. */
  payload(o: XioObject, at: number, bytes: number): void {
    this.held++;
    this.add(at, bytes, 0, o);
  }

  /** Sends what waits unless a send is under way. @returns false when the ring has no room now */
  send(socket: RingSocket, ring: RingQueue): boolean {
    if (socket.sending || this.sentTo === this.tail) return true;
    const count = this.choose();
    const vector = ring.vector(count);
    if (vector < 0) return false;
    for (let i = 0; i < count; i++) {
      const at = ((this.sentTo + i) & this.mask) * WORDS;
      ring.span(vector, i, this.spans[at]!, this.spans[at + 1]!);
    }
    if (!socket.send(vector, count)) return false;
    this.sentTo += count;
    return true;
  }

  /** The send has ended: frees what it carried. @returns false when not everything left */
  sent(result: number): boolean {
    const isComplete = result === this.sendBytes;
    while (this.head !== this.sentTo) this.release();
    return isComplete;
  }

  /** Forgets everything; the connection is gone. */
  drop(): void {
    this.sentTo = this.tail;
    while (this.head !== this.tail) this.release();
  }

  /** How many of the waiting spans go with the next send; at least one. */
  private choose(): number {
    const most = Math.min(this.tail - this.sentTo, MAX_SEND_SPANS);
    let count = 0;
    this.sendBytes = 0;
    while (count < most && this.sendBytes < MAX_SEND_BYTES) {
      this.sendBytes += this.spans[((this.sentTo + count++) & this.mask) * WORDS + 1]!;
    }
    return count;
  }

  private release(): void {
    const index = this.head++ & this.mask;
    this.ringUsed -= this.spans[index * WORDS + 2]!;
    const o = this.objects[index]!;
    if (o === null) return;
    this.objects[index] = null;
    this.held--;
    this.free(o);
  }

  private extend(at: number, bytes: number): boolean {
    if (this.tail === this.sentTo) return false;
    const index = (this.tail - 1) & this.mask;
    const word = index * WORDS;
    if (this.objects[index] !== null || this.spans[word]! + this.spans[word + 1]! !== at) return false;
    this.spans[word + 1]! += bytes;
    this.spans[word + 2]! += bytes;
    return true;
  }

  private add(at: number, bytes: number, ringBytes: number, o: XioObject | null): void {
    invariant(this.tail - this.head <= this.mask, 'nbd: more replies than requests');
    const index = this.tail++ & this.mask;
    const word = index * WORDS;
    this.spans[word] = at;
    this.spans[word + 1] = bytes;
    this.spans[word + 2] = ringBytes;
    this.objects[index] = o;
  }
}
