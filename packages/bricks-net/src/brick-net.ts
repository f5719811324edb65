import {
  ENOENT,
  ErrorCode,
  MarsError,
  XioInfo,
  type Clock,
  type InjectionToken,
  type NetAddress,
} from '@mars/brick-core';
import type { Channel, MessageOf, PeerLinkApi, PeerLinkEvents, PeerNetApi } from '@mars/wire';
import { MAX_EXPORTS, OPEN_TIMEOUT_MS } from './limits.js';
import { OPEN, OPENED, PURPOSE_BRICKS, infoMessage } from './protocol.js';

export type OpenMessage = MessageOf<typeof OPEN>;

/** Somebody wants to use an export. The channel has not been started again: register handlers at once. */
export type AcceptExport = (channel: Channel, open: OpenMessage) => void;

/** The network as `client` and `server` see it; one per loop that runs such bricks. */
export interface BrickNet {
  /** Changes when this host has been restarted. */
  readonly bootId: string;
  /** Makes an export known by its name. @returns the end of it @throws MarsError NAME_TAKEN */
  offer(name: string, accept: AcceptExport): () => void;
  /** Keeps a channel to a host; `address` overrides what is known about it. */
  link(peer: string, address: NetAddress | null, events: PeerLinkEvents): PeerLinkApi;
}

export const BRICK_NET: InjectionToken<BrickNet> = Symbol('bricks-net/BrickNet');

export interface BrickNetOptions {
  peers: Pick<PeerNetApi, 'serve' | 'link'>;
  clock: Clock;
  bootId: string;
  /** Where a member of the cluster can be reached, with the port for this kind of traffic; null = not known. */
  addressOf(peer: string): NetAddress | null;
  /**
   * Makes an export exist that somebody asks for and nobody offers yet.
   * @returns why there is none; null = it is offered now
   */
  onDemand?(name: string, host: string): Promise<string | null>;
}

/** Puts channels of the purpose `bricks` through to the export that they ask for. */
export class BrickNetHub implements BrickNet {
  readonly bootId: string;
  private readonly exports = new Map<string, AcceptExport>();

  constructor(private readonly options: BrickNetOptions) {
    this.bootId = options.bootId;
    options.peers.serve(PURPOSE_BRICKS, (channel) => this.accepted(channel));
  }

  offer(name: string, accept: AcceptExport): () => void {
    if (this.exports.has(name)) {
      throw new MarsError(ErrorCode.BAD_PARAMETER, `"${name}" is exported already`, {
        hint: 'Every export of a host needs a name of its own.',
      });
    }
    if (this.exports.size >= MAX_EXPORTS) {
      throw new MarsError(ErrorCode.LIMIT_REACHED, `a host has at most ${MAX_EXPORTS} exports`, {
        hint: 'Switch some of them off.',
      });
    }
    this.exports.set(name, accept);
    return () => {
      if (this.exports.get(name) === accept) this.exports.delete(name);
    };
  }

  link(peer: string, address: NetAddress | null, events: PeerLinkEvents): PeerLinkApi {
    const at = address ?? this.options.addressOf(peer);
    if (at === null) {
      throw new MarsError(ErrorCode.BAD_PARAMETER, `the address of host "${peer}" is not known`, {
        hint: `Name it with "address", or make ${peer} a member of the cluster.`,
      });
    }
    return this.options.peers.link(peer, at, PURPOSE_BRICKS, events);
  }

  private accepted(channel: Channel): void {
    let isOpened = false;
    channel.on(OPEN, (open) => {
      if (isOpened) throw new MarsError(ErrorCode.WIRE_PROTOCOL, 'a channel was opened twice');
      isOpened = true;
      void this.putThrough(channel, open);
    });
    this.options.clock.after(OPEN_TIMEOUT_MS, channel, (late) => {
      if (!isOpened) late.close();
    });
    channel.start();
  }

  private async putThrough(channel: Channel, open: OpenMessage): Promise<void> {
    let why: string | null = `host exports nothing called "${open.export}"`;
    if (!this.exports.has(open.export) && this.options.onDemand !== undefined)
      why = await this.options.onDemand(open.export, channel.remote.host);
    const accept = this.exports.get(open.export);
    if (!channel.isOpen) return;
    if (accept !== undefined) return accept(channel, open);
    channel.send(OPENED, refusal(ENOENT, why ?? 'the export has gone'));
    channel.close();
  }
}

/** The answer to somebody who does not get the export. */
export function refusal(errno: number, text: string): MessageOf<typeof OPENED> {
  return { errno, text, info: infoMessage(new XioInfo()), creditRequests: 0, creditBytes: 0, bootId: '' };
}
