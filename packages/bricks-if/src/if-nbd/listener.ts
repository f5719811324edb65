import {
  EBADF,
  ECANCELED,
  ErrorCode,
  MarsError,
  type Files,
  type Logger,
  type Loop,
  type NetAddress,
  type RingClient,
  type RingQueue,
  type TlsServer,
} from '@mars/brick-core';
import { ACCEPT_PAUSE_MS, SOCKET_BUFFER_BYTES } from '../limits.js';
import type { TlsPolicy } from '../nbd/handshake.js';
import { addressText } from './address.js';
import type { NbdExport } from './export.js';
import { Greeter, type Reception } from './greeter.js';
import { NOBODY, RingSocket } from './ring-socket.js';

/** How often overdue handshakes are looked for, ms. */
const SWEEP_MS = 1000;

/** What all exports of one address have in common. */
export interface ListenerSettings {
  maxConnections: number;
  handshakeMs: number;
  /** Mode of a unix socket. */
  mode: number;
  policy: TlsPolicy;
}

/** What a listener needs of the host. */
export interface ListenerServices {
  loop: Loop;
  ring: RingQueue;
  log: Logger;
  /** To remove the socket; without them (and over TCP) nothing is removed. */
  files: Files | null;
  tls: TlsServer | null;
}

/** One address: accepts clients, greets them, and hands each to the export that it asks for. */
export class NbdListener implements RingClient, Reception {
  readonly loop: Loop;
  readonly ring: RingQueue;
  readonly log: Logger;
  readonly tls: TlsServer | null;
  readonly policy: TlsPolicy;
  private readonly exports = new Map<string, NbdExport>();
  private readonly greeters = new Set<Greeter>();
  private sessions = 0;
  private fd = -1;
  private acceptTag = -1;
  private isStopping = false;
  private isSweeping = false;
  /** Clients that were turned away because there were too many. */
  turnedAway = 0;

  constructor(
    private readonly address: NetAddress,
    readonly settings: ListenerSettings,
    private readonly services: ListenerServices,
  ) {
    this.loop = services.loop;
    this.ring = services.ring;
    this.log = services.log;
    this.tls = services.tls;
    this.policy = settings.policy;
  }

  /** @throws MarsError SOCKET: the address is in use, or not ours */
  async open(): Promise<void> {
    this.fd = await this.ring.sockets!.listen(this.address, { mode: this.settings.mode });
    this.accept();
  }

  /** Where it really listens: a port of 0 has become one. */
  get boundTo(): string {
    return 'path' in this.address ? this.address.path : addressText(this.ring.sockets!.localAddress(this.fd));
  }

  /** Ends accepting and all handshakes; sessions belong to their exports. */
  async close(): Promise<void> {
    this.isStopping = true;
    for (const greeter of [...this.greeters]) greeter.end('the server stops');
    await this.endAccept();
    this.removeSocket();
    if (this.fd >= 0) await this.ring.call((client, token) => this.ring.close(this.fd, client, token));
    await this.loop.whenQuiet(() => this.greeters.size === 0);
  }

  // ------------------------------------------------------------------------------------------------------------ exports

  /** @throws MarsError BAD_PARAMETER: the name is taken */
  add(item: NbdExport): void {
    if (this.exports.has(item.name)) {
      throw new MarsError(ErrorCode.BAD_PARAMETER, `${this.boundTo} has an export "${item.name}" already`, {
        hint: 'Give each if-nbd brick of one address a name of its own.',
      });
    }
    this.exports.set(item.name, item);
  }

  remove(item: NbdExport): void {
    if (this.exports.get(item.name) === item) this.exports.delete(item.name);
  }

  get isUnused(): boolean {
    return this.exports.size === 0;
  }

  /** The empty name means the export without a name, or else the only one. */
  find(name: string): NbdExport | null {
    const exact = this.exports.get(name);
    if (exact !== undefined) return exact;
    if (name !== '' || this.exports.size !== 1) return null;
    return this.exports.values().next().value ?? null;
  }

  list(): Iterable<NbdExport> {
    return this.exports.values();
  }

  // -------------------------------------------------------------------------------------------------------- connections

  /** Result of ACCEPT. */
  ringDone(_token: number, result: number): void {
    this.acceptTag = -1;
    if (result >= 0) this.accepted(result);
    else if (this.isStopping || result === -ECANCELED || result === -EBADF) return;
    else return this.acceptLater(result);
    this.accept();
  }

  /** Code of ours threw: every brick that is served here is told, because each of them relies on it. */
  onFault(error: unknown, work: unknown): void {
    if (this.exports.size === 0) throw error;
    for (const item of [...this.exports.values()]) item.onFault(error, work);
  }

  tune(fd: number): void {
    this.ring.sockets!.tune(fd, { sendBytes: SOCKET_BUFFER_BYTES, receiveBytes: SOCKET_BUFFER_BYTES });
  }

  handedOver(greeter: Greeter): void {
    this.greeters.delete(greeter);
    this.sessions++;
  }

  ended(greeter: Greeter): void {
    this.greeters.delete(greeter);
    this.loop.kick();
  }

  sessionEnded(): void {
    this.sessions--;
  }

  private accept(): void {
    if (this.isStopping) return;
    this.acceptTag = this.ring.accept(this.fd, this, 0);
    if (this.acceptTag < 0) this.loop.after(ACCEPT_PAUSE_MS, this, acceptAgain);
  }

  /** Out of descriptors, as a rule: those who wait in the backlog keep waiting. */
  private acceptLater(result: number): void {
    this.log.warn({ listen: this.boundTo, errno: -result }, 'accepting NBD clients fails');
    this.loop.after(ACCEPT_PAUSE_MS, this, acceptAgain);
  }

  /** Called by the timer. */
  resume(): void {
    if (this.acceptTag < 0) this.accept();
  }

  private accepted(fd: number): void {
    const socket = new RingSocket(fd, this.ring, this.loop);
    if (this.isStopping || this.greeters.size + this.sessions >= this.settings.maxConnections) {
      this.turnedAway++;
      socket.owner = NOBODY;
      return socket.destroy();
    }
    this.tune(fd);
    const greeter = new Greeter(this, socket, this.settings.handshakeMs);
    this.greeters.add(greeter);
    this.sweepLater();
    greeter.start();
  }

  private async endAccept(): Promise<void> {
    if (this.acceptTag >= 0) {
      const tag = this.acceptTag;
      await this.ring.call((client, token) => this.ring.cancel(tag, client, token));
    }
    await this.loop.whenQuiet(() => this.acceptTag < 0);
  }

  /** Before the descriptor is closed: afterwards the path may already be somebody else's. */
  private removeSocket(): void {
    const { files } = this.services;
    if (!('path' in this.address) || files === null || this.fd < 0) return;
    if (files.lstat(this.address.path) !== null) files.unlink(this.address.path);
  }

  private sweepLater(): void {
    if (this.isSweeping) return;
    this.isSweeping = true;
    this.loop.after(Math.min(SWEEP_MS, this.settings.handshakeMs / 4), this, sweepListener);
  }

  /** Called by the timer: ends handshakes whose time is over. */
  sweep(): void {
    this.isSweeping = false;
    for (const greeter of [...this.greeters]) if (greeter.deadlineUs <= this.loop.nowUs) greeter.end('out of time');
    if (this.greeters.size > 0) this.sweepLater();
  }
}

function acceptAgain(listener: NbdListener): void {
  listener.resume();
}

function sweepListener(listener: NbdListener): void {
  listener.sweep();
}
