import {
  EADDRINUSE,
  ECONNREFUSED,
  ETIMEDOUT,
  type Net,
  type NetAddress,
  type NetListener,
  type NetStream,
} from '@mars/brick-core';
import type { Life } from '../world/life.js';
import type { Listening, SimNetwork } from './network.js';
import { SimStream, socketError } from './stream.js';

/** What a connection attempt waits for when the caller does not say, ms. */
const CONNECT_TIMEOUT_MS = 20_000;
/** First of the ports that are given out for port 0. */
const EPHEMERAL_PORT = 32_768;

/** The network as one life of one host sees it. Hosts are reached by name, by `ip`, or as `localhost`. */
export class SimNet implements Net {
  private nextPort = EPHEMERAL_PORT;

  constructor(
    private readonly network: SimNetwork,
    private readonly host: string,
    private readonly life: Life,
  ) {}

  connect(address: NetAddress, options: { timeoutMs?: number; signal?: AbortSignal } = {}): Promise<NetStream> {
    this.life.check();
    const { network, life } = this;
    return new Promise((resolve, reject) => {
      const { signal } = options;
      if (signal?.aborted) return reject(signal.reason as Error);
      let isOver = false;
      const settle = (act: () => void): void => {
        if (isOver) return;
        isOver = true;
        timer.run = null;
        signal?.removeEventListener('abort', abort);
        act();
      };
      const abort = (): void => settle(() => reject(signal!.reason as Error));
      const timeoutNs = Math.round((options.timeoutMs ?? CONNECT_TIMEOUT_MS) * 1e6);
      const text = textOf(address);
      const timer = network.schedule(network.nowNs + timeoutNs, 'connect-timeout', life, () =>
        settle(() => reject(socketError(ETIMEDOUT, `no answer from ${text}`))),
      );
      signal?.addEventListener('abort', abort, { once: true });
      const refused = (): void => settle(() => reject(socketError(ECONNREFUSED, `nobody listens at ${text}`)));
      this.shakeHands(
        address,
        (make) => settle(() => resolve(make())),
        refused,
        () => isOver,
      );
    });
  }

  async listen(address: NetAddress, accept: (stream: NetStream) => void): Promise<NetListener> {
    this.life.check();
    const bound = 'path' in address || address.port !== 0 ? address : { host: address.host, port: this.nextPort++ };
    const listening: Listening = { host: this.host, life: this.life, where: whereOf(bound), accept };
    if (!this.network.listen(listening)) throw socketError(EADDRINUSE, `${textOf(bound)} is in use`);
    return {
      address: bound,
      close: async () => {
        this.life.check();
        this.network.unlisten(listening);
      },
    };
  }

  /** SYN, SYN+ACK: each way waits while its direction is cut; a host that is down never answers. */
  private shakeHands(
    address: NetAddress,
    made: (make: () => SimStream) => void,
    refused: () => void,
    isOver: () => boolean,
  ): void {
    const { network } = this;
    const remote = this.targetOf(address);
    if (remote === null) return;
    this.travel(this.host, remote, isOver, () => {
      if (!network.isUp(remote)) return;
      const listening = network.listenerAt(remote, whereOf(address));
      if (listening === null) return this.travel(remote, this.host, isOver, refused);
      this.travel(remote, this.host, isOver, () => {
        if (listening.life.isOver) return refused();
        made(() => this.join(listening, remote, textOf(address)));
      });
    });
  }

  /** One packet; sent again every 100 ms while the direction is cut. */
  private travel(from: string, to: string, isOver: () => boolean, then: () => void): void {
    const { network } = this;
    const link = network.link(from, to);
    const atNs = link.isCut ? network.nowNs + 1e8 : link.arrivalNs(network.nowNs, 64);
    const wasCut = link.isCut;
    network.schedule(atNs, 'handshake', null, () => {
      if (isOver() || this.life.isOver) return;
      if (wasCut || link.isCut) this.travel(from, to, isOver, then);
      else then();
    });
  }

  private join(listening: Listening, remote: string, text: string): SimStream {
    const { network, host, life } = this;
    const number = network.nextNumber();
    const near = new SimStream(network, number, host, life, remote, text, network.link(host, remote));
    const far = new SimStream(network, number, remote, listening.life, host, host, network.link(remote, host));
    near.peer = far;
    far.peer = near;
    network.add(near, far);
    network.schedule(network.nowNs, 'accept', listening.life, () => listening.accept(far));
    return near;
  }

  private targetOf(address: NetAddress): string | null {
    if ('path' in address || address.host === 'localhost' || address.host === '127.0.0.1') return this.host;
    return this.network.hostAt(address.host);
  }
}

function whereOf(address: NetAddress): string {
  return 'path' in address ? address.path : `port ${address.port}`;
}

function textOf(address: NetAddress): string {
  return 'path' in address ? address.path : `${address.host}:${address.port}`;
}
