import {
  RING_MSG_WAITALL,
  RING_SHUT_RDWR,
  invariant,
  type Batcher,
  type Loop,
  type RingClient,
  type RingQueue,
} from '@mars/brick-core';
import { LINGER_MS } from '../limits.js';

const RECEIVED = 0;
const SENT = 1;
const SHUT = 2;
const CLOSED = 3;

/** Who uses a connected socket. */
export interface SocketOwner {
  /** @param result bytes, 0 = the peer has ended, or a negative errno */
  received(result: number): void;
  /** @param result bytes, or a negative errno */
  sent(result: number): void;
  /** Nothing of the socket is under way any more, and its descriptor is gone. Exactly once. */
  closed(): void;
  /** Code of the owner has thrown: it tells its brick, and ends the connection. */
  onFault(error: unknown, work: unknown): void;
}

/** Owns sockets that nobody wants any more. */
export const NOBODY: SocketOwner = {
  received: () => {},
  sent: () => {},
  closed: () => {},
  onFault: (error) => {
    throw error;
  },
};

/**
 * One connected socket of a ring, at most one receive and one send under way, closed exactly once and only after both have
 * ended: so no memory is given back under the kernel's feet, and no descriptor number is used after its end.
 *
 * ```
 *  open ──destroy()──> shutting (SHUTDOWN ends what is pending) ──both ended──> closing (CLOSE) ──> closed
 * ```
 */
export class RingSocket implements RingClient, Batcher {
  rank = 0;
  plugged = false;
  state: 'open' | 'shutting' | 'closing' | 'closed' = 'open';
  receiving = false;
  sending = false;
  owner!: SocketOwner;
  /** The owner before the last change, for faults of its very last call. */
  private former: SocketOwner = NOBODY;
  private isShutSent = false;
  private isShutDone = false;
  private isLate = false;

  constructor(
    readonly fd: number,
    private readonly ring: RingQueue,
    private readonly loop: Loop,
  ) {}

  /** @returns false when the ring has no room now: come back after `awaitRoom` */
  receive(buf: number, len: number, all: boolean): boolean {
    const tag = this.ring.recv(this.fd, buf, len, all ? RING_MSG_WAITALL : 0, this, RECEIVED);
    if (tag < 0) return false;
    this.receiving = true;
    return true;
  }

  /** Sends all of it. @returns false when the ring has no room now */
  send(vector: number, count: number): boolean {
    const tag = this.ring.send(this.fd, vector, count, RING_MSG_WAITALL, this, SENT);
    if (tag < 0) return false;
    this.sending = true;
    return true;
  }

  /** Ends the connection; `owner.closed()` follows later, never from inside this call. Calling it again is harmless. */
  destroy(): void {
    if (this.state !== 'open') return;
    this.state = 'shutting';
    if (this.isBusy) this.loop.after(LINGER_MS, this, lingerIsOver);
    this.goOn();
  }

  /** The descriptor goes to somebody else (TLS); nothing may be under way. For its owner the socket is over, without `closed()`. */
  giveAway(): number {
    invariant(!this.isBusy, 'nbd: a socket was given away with an operation under way');
    this.state = 'closed';
    this.former = this.owner;
    this.owner = NOBODY;
    return this.fd;
  }

  ringDone(token: number, result: number): void {
    if (token === RECEIVED) {
      this.receiving = false;
      this.owner.received(result);
    } else if (token === SENT) {
      this.sending = false;
      this.owner.sent(result);
    } else if (token === SHUT) this.isShutDone = true;
    else this.state = 'closed';
    if (this.state !== 'open') this.wind();
  }

  /** The ring has room again. */
  endBatch(): void {
    this.goOn();
  }

  private get isBusy(): boolean {
    return this.receiving || this.sending;
  }

  private wind(): void {
    // The last operation of a socket that waits for nothing else: tell the owner.
    if (this.state === 'closed' && !this.isBusy) this.ended();
    else this.goOn();
  }

  private goOn(): void {
    if (this.state !== 'shutting') return;
    if (this.isLate || (!this.isBusy && this.isShutSent === this.isShutDone)) this.close();
    else if (this.isBusy && !this.isShutSent) this.shutDown();
  }

  private shutDown(): void {
    this.isShutSent = this.ring.shutdown(this.fd, RING_SHUT_RDWR, this, SHUT) >= 0;
    if (!this.isShutSent) this.ring.awaitRoom(this);
  }

  private close(): void {
    if (this.ring.close(this.fd, this, CLOSED) >= 0) this.state = 'closing';
    else this.ring.awaitRoom(this);
  }

  /** Rings without a kernel behind them end some operations by CLOSE only. */
  lingerIsOver(): void {
    this.isLate = true;
    this.goOn();
  }

  private ended(): void {
    this.former = this.owner;
    this.owner = NOBODY;
    this.former.closed();
  }

  /** The owner threw in one of our calls; what was to be done behind that call is done now. */
  onFault(error: unknown, work: unknown): void {
    (this.owner === NOBODY ? this.former : this.owner).onFault(error, work);
    if (this.state !== 'open') this.wind();
  }
}

function lingerIsOver(socket: RingSocket): void {
  socket.lingerIsOver();
}
