import {
  Brick,
  BrickBase,
  ErrorCode,
  FILES,
  MAX_REQUEST_BYTES,
  MarsError,
  TLS_ENDPOINT,
  inject,
  type Completer,
  type Files,
  type RingQueue,
  type TlsEndpoint,
  type TlsServer,
  type XioObject,
} from '@mars/brick-core';
import { parseAddress } from './address.js';
import { NbdExport, type ExportStats } from './export.js';
import type { ListenerServices, NbdListener } from './listener.js';
import { listenersOf } from './listeners.js';
import { ifNbdParams, type IfNbdParams } from './params.js';
import type { Pending } from './pending.js';

/**
 * Serves what lies below to NBD clients, over unix sockets and TCP. One brick is one export; several bricks may share an
 * address, and clients choose by name.
 *
 * It takes any position and any length up to 32 MiB, and cuts what is longer than one object carries. A WRITE is answered when
 * the brick below has answered it; FLUSH and FUA mean what they mean below.
 */
@Brick({
  type: 'if-nbd',
  about: 'NBD server: one export, over unix sockets and TCP, with or without TLS.',
  inputs: { disk: { about: 'what is served', needs: { align: 1, maxLen: MAX_REQUEST_BYTES } } },
  params: ifNbdParams,
})
export class IfNbdBrick extends BrickBase implements Completer {
  private params!: IfNbdParams;
  private counters!: ExportStats;
  private listeners: NbdListener[] = [];
  private served: NbdExport | null = null;

  constructor(
    @inject(FILES, { isOptional: true }) private readonly files: Files | undefined,
    @inject(TLS_ENDPOINT, { isOptional: true }) private readonly tls: TlsEndpoint | undefined,
  ) {
    super();
  }

  protected override attached(): void {
    this.params = this.ctx.params as unknown as IfNbdParams;
    for (const address of this.params.listen) parseAddress(address);
    this.counters = {
      reads: this.ctx.counter('reads'),
      writes: this.ctx.counter('writes'),
      flushes: this.ctx.counter('flushes'),
      others: this.ctx.counter('others'),
      readBytes: this.ctx.counter('readBytes'),
      writtenBytes: this.ctx.counter('writtenBytes'),
      errors: this.ctx.counter('errors'),
      brokenClients: this.ctx.counter('brokenClients'),
      stalls: this.ctx.counter('stalls'),
    };
  }

  protected override async start(signal: AbortSignal): Promise<void> {
    const ring = this.ringOrThrow();
    const tls = this.tlsServer();
    this.served = this.newExport(ring);
    try {
      for (const address of this.params.listen) {
        await this.listen(address, ring, tls);
        signal.throwIfAborted();
      }
    } catch (error) {
      await this.stopListening();
      this.served.endSessions();
      await this.served.drained();
      throw error;
    }
    this.ctx.publish('listen', this.listeners.map((listener) => listener.boundTo).join(' '));
  }

  /** New clients are turned away, those who are here get their answers. */
  protected override async draining(): Promise<void> {
    this.served?.endSessions();
    await this.stopListening();
    await this.served?.drained();
  }

  protected override stop(): void {
    this.served = null;
  }

  /** The brick below has answered one of our objects. */
  complete(o: XioObject): void {
    const pending = o.aspects[this.ctx.slot] as Pending;
    pending.session!.completed(o, pending);
  }

  private async listen(text: string, ring: RingQueue, tls: TlsServer | null): Promise<void> {
    const { maxConnections, handshakeTime, mode, tls: policy } = this.params;
    const { tlsCert, tlsKey, tlsCa, tlsVerifyPeer } = this.params;
    const services: ListenerServices = { loop: this.ctx.loop, ring, log: this.ctx.log, files: this.files ?? null, tls };
    const listener = await listenersOf(this.ctx.loop).join(
      parseAddress(text),
      { maxConnections, handshakeMs: handshakeTime, mode: parseInt(mode, 8), policy },
      JSON.stringify([tlsCert, tlsKey, tlsCa, tlsVerifyPeer]),
      services,
      this.served!,
    );
    this.listeners.push(listener);
  }

  private async stopListening(): Promise<void> {
    const listeners = this.listeners.splice(0);
    for (const listener of listeners) await listenersOf(this.ctx.loop).leave(listener, this.served!);
  }

  private newExport(ring: RingQueue): NbdExport {
    const { name, description, readOnly, depth } = this.params;
    const { loop, slot } = this.ctx;
    const clientsChanged = (count: number): void => {
      this.ctx.publish('clients', count);
      this.ctx.publish('openCount', count);
    };
    clientsChanged(0);
    const what = { name, description, readOnly, depth, stats: this.counters, clientsChanged };
    return new NbdExport({ loop, ring, input: this.input('disk'), brick: this, slot, ...what });
  }

  private ringOrThrow(): RingQueue {
    const { ring } = this.ctx.loop;
    if (ring !== null && ring.sockets !== null) return ring;
    throw new MarsError(ErrorCode.SOCKET, 'this loop has no sockets', {
      hint: 'Run the stack in the real world, or in a simulated one with a network.',
    });
  }

  private tlsServer(): TlsServer | null {
    const { tls, tlsCert, tlsKey, tlsCa, tlsVerifyPeer } = this.params;
    if (tls === 'off') return null;
    if (this.tls === undefined)
      throw new MarsError(ErrorCode.SOCKET, 'there is no TLS on this loop', { hint: 'Set "tls: off".' });
    if (tlsCert === undefined || tlsKey === undefined) {
      throw new MarsError(ErrorCode.BAD_PARAMETER, `"tls: ${tls}" needs a certificate and its key`, {
        hint: 'Set tlsCert and tlsKey to PEM files.',
      });
    }
    const caPath = tlsCa === undefined ? {} : { caPath: tlsCa };
    return this.tls.server({ certPath: tlsCert, keyPath: tlsKey, ...caPath, verifyPeer: tlsVerifyPeer });
  }
}
