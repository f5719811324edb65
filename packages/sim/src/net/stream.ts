import { ECONNRESET, EPIPE, ErrorCode, MarsError, errnoName, type NetStream } from '@mars/brick-core';
import { MAX_SEGMENTS_IN_FLIGHT, MAX_SEGMENT_BYTES, MAX_STREAM_BYTES, STREAM_HIGH_WATER_BYTES } from '../limits.js';
import type { Life } from '../world/life.js';
import { bytesDigest } from '../world/trace.js';
import type { Link } from './link.js';
import type { Wires } from './network.js';

/** Headers of a segment, bytes. */
const SEGMENT_OVERHEAD_BYTES = 64;

type Ending = { error?: Error };

/** What travels from one end to the other. */
type Parcel = { kind: 'data'; bytes: Uint8Array } | { kind: 'end' } | { kind: 'reset' };

/**
 * One end of a connection. Bytes wait in `outbox` until the link takes them, arrive in order as segments with drawn borders,
 * and wait in `inbox` while the reader is paused or has no handler yet.
 *
 * ```
 *   write ──> outbox ──> link a→b (latency, bandwidth, cut) ──> peer.inbox ──> onData
 *              └────────── inFlight: not yet read by the peer ──────────┘  above the high water: write() === false
 * ```
 */
export class SimStream implements NetStream {
  peer!: SimStream;
  private readonly outbox: Parcel[] = [];
  private readonly inbox: Uint8Array[] = [];
  /** Bytes written here and not yet given to the peer's reader. */
  private unread = 0;
  private lastArrivalNs = 0;
  /** Segments under way, oldest first, and how many of them met a cut link or a dead host. */
  private readonly transit: Parcel[] = [];
  private lost = 0;
  private isPaused = false;
  private hasEnded = false;
  private peerEnded = false;
  private wantsDrain = false;
  private ending: Ending | null = null;
  private isClosed = false;
  private dataHandler: ((bytes: Uint8Array) => void) | null = null;
  private drainHandler: (() => void) | null = null;
  private closeHandler: ((error?: Error) => void) | null = null;

  constructor(
    private readonly wires: Wires,
    readonly number: number,
    readonly host: string,
    readonly life: Life,
    readonly remoteHost: string,
    readonly remote: string,
    private readonly link: Link,
  ) {}

  write(bytes: Uint8Array): boolean {
    this.life.check();
    if (this.isClosed || this.hasEnded || this.ending !== null) return false;
    if (this.unread + bytes.length > MAX_STREAM_BYTES) {
      this.destroy(socketError(EPIPE, `the writer to ${this.remote} does not wait for its reader`));
      return false;
    }
    if (bytes.length > 0) this.outbox.push({ kind: 'data', bytes: new Uint8Array(bytes) });
    this.unread += bytes.length;
    this.send();
    this.wantsDrain ||= this.unread > STREAM_HIGH_WATER_BYTES;
    return this.unread <= STREAM_HIGH_WATER_BYTES;
  }

  end(): void {
    this.life.check();
    if (this.isClosed || this.hasEnded) return;
    this.hasEnded = true;
    this.outbox.push({ kind: 'end' });
    this.send();
  }

  destroy(error?: Error): void {
    this.life.check();
    if (this.isClosed) return;
    this.outbox.length = 0;
    // With unread data the other side sees a reset; that is what TCP does, too.
    this.outbox.push({ kind: this.hasEnded && this.inbox.length === 0 && error === undefined ? 'end' : 'reset' });
    this.send();
    this.close(error);
  }

  onData(handler: (bytes: Uint8Array) => void): void {
    this.dataHandler = handler;
    this.readSoon();
  }

  onDrain(handler: () => void): void {
    this.drainHandler = handler;
  }

  onClose(handler: (error?: Error) => void): void {
    this.closeHandler = handler;
    if (this.ending !== null) this.closeSoon();
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
    this.readSoon();
  }

  get isOpen(): boolean {
    return !this.isClosed;
  }

  /** Sends what may be sent now; nothing while the link is cut. */
  send(): void {
    while (this.outbox.length > 0 && this.transit.length < MAX_SEGMENTS_IN_FLIGHT && !this.link.isCut) {
      const parcel = this.takeParcel();
      this.transit.push(parcel);
      this.launch(parcel.kind === 'data' ? parcel.bytes.length : 0);
    }
  }

  /** The link is healed, or the peer's host is up again: what was lost on the way is sent once more. */
  resend(): void {
    const { lost } = this;
    this.lost = 0;
    for (let i = 0; i < lost; i++) this.launch(0);
    this.send();
  }

  /**
   * One arrival for the oldest segment under way, whichever that is by then: so bytes keep their order, also when some were
   * lost and others were not. The world owns it: it arrives even if its sender dies meanwhile.
   */
  private launch(bytes: number): void {
    const atNs = Math.max(this.lastArrivalNs, this.link.arrivalNs(this.wires.nowNs, bytes + SEGMENT_OVERHEAD_BYTES));
    this.lastArrivalNs = atNs;
    this.wires.schedule(atNs, 'segment', null, () => {
      if (this.link.isCut || !this.wires.isUp(this.remoteHost)) this.lost++;
      else {
        this.peer.arrived(this.transit.shift()!);
        this.send();
      }
    });
  }

  /** The connection breaks on this side without a word to the other. */
  breakOff(errno: number): void {
    this.outbox.length = 0;
    if (!this.life.isOver) this.close(socketError(errno, `connection to ${this.remote}: ${errnoName(errno)}`));
    this.isClosed = true;
  }

  /** The kernel of this host speaks for a dead process. */
  resetPeer(): void {
    this.outbox.length = 0;
    this.outbox.push({ kind: 'reset' });
    this.isClosed = true;
    this.send();
  }

  waits(): string | null {
    if (this.isClosed || (this.outbox.length === 0 && this.unread === 0)) return null;
    const why = this.link.isCut ? ' (the link is cut)' : this.peer.isPaused ? ' (the peer does not read)' : '';
    return `net: ${this.unread} bytes to ${this.remote} on connection ${this.number}${why}`;
  }

  private takeParcel(): Parcel {
    const first = this.outbox[0]!;
    if (first.kind !== 'data') return this.outbox.shift()!;
    const length = this.link.segment(first.bytes.length, MAX_SEGMENT_BYTES);
    if (length === first.bytes.length) return this.outbox.shift()!;
    this.outbox[0] = { kind: 'data', bytes: first.bytes.subarray(length) };
    return { kind: 'data', bytes: first.bytes.subarray(0, length) };
  }

  private arrived(parcel: Parcel): void {
    const { wires } = this;
    const digest = parcel.kind === 'data' ? bytesDigest(parcel.bytes) : 0;
    wires.trace.event(wires.nowNs, this.life.hostIndex, `net-${parcel.kind}`, this.number, digest);
    if (this.isClosed || this.life.isOver) return this.arrivedAtNobody(parcel);
    if (parcel.kind === 'reset') this.close(socketError(ECONNRESET, `${this.remote} broke the connection`));
    else if (parcel.kind === 'data') this.inbox.push(parcel.bytes);
    else this.peerEnded = true;
    this.readSoon();
  }

  /** The kernel answers data of a connection that it does not know (any more) with a reset. */
  private arrivedAtNobody(parcel: Parcel): void {
    if (parcel.kind !== 'data' || this.outbox.length > 0) return;
    this.outbox.push({ kind: 'reset' });
    this.send();
  }

  private readSoon(): void {
    if (this.inbox.length === 0 && !this.peerEnded) return;
    this.wires.schedule(this.wires.nowNs, 'receive', this.life, () => this.read());
  }

  private read(): void {
    while (this.inbox.length > 0 && !this.isPaused && this.dataHandler !== null && !this.isClosed) {
      const bytes = this.inbox.shift()!;
      this.peer.wasRead(bytes.length);
      this.dataHandler(bytes);
    }
    if (this.inbox.length === 0 && this.peerEnded && !this.isClosed) {
      // Nobody here keeps a half-open connection after the peer's end, just as sockets of Node by default.
      if (!this.hasEnded) this.end();
      this.close();
    }
  }

  private wasRead(bytes: number): void {
    this.unread -= bytes;
    if (!this.wantsDrain || this.unread > STREAM_HIGH_WATER_BYTES / 2) return;
    this.wantsDrain = false;
    // The window opens when the acknowledgement has come back.
    this.wires.schedule(this.peer.link.arrivalNs(this.wires.nowNs, 64), 'window', this.life, () => {
      if (!this.isClosed) this.drainHandler?.();
    });
  }

  private close(error?: Error): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.ending = error === undefined ? {} : { error };
    this.inbox.length = 0;
    if (this.closeHandler !== null) this.closeSoon();
  }

  private closeSoon(): void {
    const ending = this.ending!;
    const handler = this.closeHandler!;
    this.ending = null;
    this.wires.schedule(this.wires.nowNs, 'close', this.life, () => handler(ending.error));
  }
}

export function socketError(errno: number, text: string): MarsError {
  return new MarsError(ErrorCode.SOCKET, text, {
    details: { errno },
    hint: 'Connections of the simulated network break when their hosts die or a scenario says so.',
  });
}
