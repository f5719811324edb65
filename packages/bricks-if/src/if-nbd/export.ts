import {
  CAP_FLUSH,
  CAP_ROTATIONAL,
  CAP_TRIM,
  CAP_WRITE,
  SUPPORT_NONE,
  type Completer,
  type FaultOwner,
  type Counter,
  type Loop,
  type ObjectOwner,
  type RingQueue,
  type XioInput,
} from '@mars/brick-core';
import { MAX_PAYLOAD_BYTES, PAYLOAD_SWEEP_MS } from '../limits.js';
import type { ExportFacts } from '../nbd/handshake.js';
import {
  CAN_CACHE,
  CAN_DF,
  CAN_FAST_ZERO,
  CAN_FLUSH,
  CAN_FUA,
  CAN_HAS_FLAGS,
  CAN_MULTI_CONN,
  CAN_READ_ONLY,
  CAN_ROTATIONAL,
  CAN_TRIM,
  CAN_WRITE_ZEROES,
} from '../nbd/protocol.js';
import type { Session } from './session.js';

/** Counters of one export; plain numbers, read by `mars-stack ctl` and the exporter. */
export interface ExportStats {
  reads: Counter;
  writes: Counter;
  flushes: Counter;
  others: Counter;
  readBytes: Counter;
  writtenBytes: Counter;
  /** Requests that were answered with an error. */
  errors: Counter;
  /** Connections that ended because the client broke the protocol. */
  brokenClients: Counter;
  /** Times a connection had to wait for objects or memory. */
  stalls: Counter;
}

/** What the brick gives its export. */
export interface ExportParts {
  loop: Loop;
  ring: RingQueue;
  input: XioInput;
  /** The brick: owner and completer of all objects. */
  brick: Completer & ObjectOwner & FaultOwner & { readonly rank: number };
  /** Aspect slot of the brick. */
  slot: number;
  /** Requests of one connection under way at the same time. */
  depth: number;
  name: string;
  description: string;
  readOnly: boolean;
  stats: ExportStats;
  /** The number of clients has changed. */
  clientsChanged(count: number): void;
}

/** One export: what listeners and sessions see of the brick, and the clients it has. */
export class NbdExport implements ExportFacts {
  readonly loop: Loop;
  readonly ring: RingQueue;
  readonly input: XioInput;
  readonly brick: ExportParts['brick'];
  readonly slot: number;
  readonly depth: number;
  readonly name: string;
  readonly description: string;
  readonly stats: ExportStats;
  readonly minBlockBytes = 1;
  readonly maxBlockBytes = MAX_PAYLOAD_BYTES;
  private readonly sessions = new Set<Session>();
  private isDraining = false;
  private isSweeping = false;

  constructor(private readonly parts: ExportParts) {
    this.loop = parts.loop;
    this.ring = parts.ring;
    this.input = parts.input;
    this.brick = parts.brick;
    this.slot = parts.slot;
    this.depth = parts.depth;
    this.name = parts.name;
    this.description = parts.description;
    this.stats = parts.stats;
  }

  get sizeBytes(): number {
    return this.input.cached.size;
  }

  /** At least a page: smaller ones would make clients read, change and write for nothing. */
  get preferredBlockBytes(): number {
    return Math.min(Math.max(4096, this.input.cached.preferred), this.maxBlockBytes);
  }

  /** What the provider can do now, as `CAN_*`. */
  get flags(): number {
    const { caps, fua, zero, cache } = this.input.cached;
    const canWrite = (caps & CAP_WRITE) !== 0 && !this.parts.readOnly;
    let flags = CAN_HAS_FLAGS | CAN_DF;
    if (caps & CAP_ROTATIONAL) flags |= CAN_ROTATIONAL;
    if (cache !== SUPPORT_NONE) flags |= CAN_CACHE;
    // All clients see one provider, and a FLUSH below covers what was answered to any of them.
    if (caps & CAP_FLUSH) flags |= CAN_FLUSH | CAN_MULTI_CONN;
    if (!canWrite) return flags | CAN_READ_ONLY | CAN_MULTI_CONN;
    if (fua !== SUPPORT_NONE) flags |= CAN_FUA;
    if (caps & CAP_TRIM) flags |= CAN_TRIM;
    if (zero !== SUPPORT_NONE) flags |= CAN_WRITE_ZEROES | CAN_FAST_ZERO;
    return flags;
  }

  sessionOpened(session: Session): void {
    this.sessions.add(session);
    this.parts.clientsChanged(this.sessions.size);
    if (this.isDraining) session.end(); // its handshake was already over
    this.sweepLater();
  }

  /** Code of this front end threw: it is the brick's. */
  onFault(error: unknown, work: unknown): void {
    this.brick.onFault(error, work);
  }

  /** Called by the timer: looks for payloads that do not come. */
  sweep(): void {
    this.isSweeping = false;
    for (const session of [...this.sessions]) session.checkPayload(this.loop.nowUs);
    this.sweepLater();
  }

  private sweepLater(): void {
    if (this.isSweeping || this.sessions.size === 0) return;
    this.isSweeping = true;
    this.loop.after(PAYLOAD_SWEEP_MS, this, sweepExport);
  }

  sessionClosed(session: Session): void {
    this.sessions.delete(session);
    this.parts.clientsChanged(this.sessions.size);
  }

  /** For good: what is under way is answered, then the connections are closed. */
  endSessions(): void {
    this.isDraining = true;
    for (const session of [...this.sessions]) session.end();
  }

  /** Resolves when no client is left. */
  drained(): Promise<void> {
    return this.loop.whenQuiet(() => this.sessions.size === 0);
  }
}

function sweepExport(item: NbdExport): void {
  item.sweep();
}
