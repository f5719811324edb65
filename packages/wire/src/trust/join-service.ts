import { ErrorCode, MarsError, isMarsError, type Clock, type Logger } from '@mars/brick-core';
import type { Channel } from '../channel/types.js';
import { JOIN_TIMEOUT_MS } from '../limits.js';
import { JOIN, type PeerNet } from '../net/peer-net.js';
import type { MessageOf } from '../struct/struct.js';
import { isHostName } from './admission.js';
import { isSignedFor } from './certificates.js';
import { JOIN_ANSWER, JOIN_REQUEST, JOIN_SIGNATURE, joinBytes } from './join-messages.js';
import type { TrustStore } from './trust-store.js';
import type { MemberFacts, Refusal } from './types.js';

export interface JoinServiceOptions {
  peers: Pick<PeerNet, 'serve' | 'noteRefusal'>;
  store: TrustStore;
  facts: Pick<MemberFacts, 'isMember' | 'fingerprintOf'>;
  clock: Clock;
  log: Logger;
  host: string;
  /** Of the cluster, as `/mars/uuid` says. */
  uuid(): string;
  /** The token was good: write `ips/ip-HOST` and `userspace/tls-HOST`; they are durable when this resolves. */
  admit(host: string, ip: string, fingerprintHex: string): void | Promise<void>;
}

type Request = MessageOf<typeof JOIN_REQUEST>;

/**
 * The inviting side. A stranger shows a token; if this host has issued it and nobody else has used it, the stranger becomes a member.
 * ```
 *   request ─> redeem (durable) ─> certificate ─> admit: facts in the tree ─> answer
 * ```
 * If anything breaks off in between, the same host with the same key asks again and gets on.
 */
export class JoinService {
  /** Names whose join is under way: two hosts with one name and a token each must not both get through. */
  private readonly underWay = new Set<string>();

  constructor(private readonly options: JoinServiceOptions) {
    options.peers.serve(JOIN, (channel) => this.accepted(channel));
  }

  private accepted(channel: Channel): void {
    let isAsked = false;
    channel.on(JOIN_REQUEST, (request) => {
      if (isAsked) return;
      isAsked = true;
      this.answer(channel, request).catch((error: unknown) => {
        if (!isMarsError(error)) throw error;
        this.options.log.error({ err: error, host: request.host }, 'join failed');
        channel.close(error);
      });
    });
    this.options.clock.after(JOIN_TIMEOUT_MS, channel, (late) => late.close());
    channel.start();
  }

  private async answer(channel: Channel, request: Request): Promise<void> {
    const ip = request.ip === '' ? addressOf(channel.address) : request.ip;
    const refusal = this.check(request, ip) ?? this.redeem(request);
    if (refusal !== null) return this.refuse(channel, request, refusal);
    this.underWay.add(request.host);
    try {
      await this.letIn(channel, request, ip);
    } finally {
      this.underWay.delete(request.host);
    }
  }

  private async letIn(channel: Channel, request: Request, ip: string): Promise<void> {
    const { store, uuid, admit, log } = this.options;
    // From here on nobody else can use the token, not even after a power cut.
    await store.sync();
    const { caPem, caKeyPem, certPem, fingerprintHex } = await store.issue(request.host, request.publicKeyDer);
    await admit(request.host, ip, fingerprintHex);
    log.info({ host: request.host, ip, fingerprintHex }, 'host joined');
    channel.send(JOIN_ANSWER, { caPem, caKeyPem, certPem, uuid: uuid() });
    channel.close();
  }

  private check({ token, host, ip, publicKeyDer, signature }: Request, address: string): Refusal | null {
    if (!isHostName(host)) return { reason: 'bad-request', text: 'the name of the host is not possible' };
    if (!/^[0-9A-Fa-f.:]{2,45}$/.test(address)) return { reason: 'bad-request', text: 'the address is not possible' };
    if (!isSignedFor(JOIN_SIGNATURE, { publicKeyDer }, joinBytes(token, host, ip), signature))
      return { reason: 'bad-request', text: 'the request is not signed by its key' };
    return null;
  }

  private redeem({ token, host, publicKeyDer }: Request): Refusal | null {
    const { store, facts, host: me } = this.options;
    if (this.underWay.has(host)) return { reason: 'too-many', text: `${host} is joining just now` };
    const isTaken = host === me || (facts.isMember(host) && facts.fingerprintOf(host) !== null);
    if (isTaken && !store.hasRedeemed(token, host, publicKeyDer))
      return { reason: 'name-taken', text: `the cluster has a member ${host} already` };
    const result = store.redeem(token, host, publicKeyDer);
    return 'reason' in result ? result : null;
  }

  private refuse(channel: Channel, { host }: Request, { reason, text }: Refusal): void {
    this.options.peers.noteRefusal(reason, channel.address, text, isHostName(host) ? host : '');
    channel.close(new MarsError(ErrorCode.JOIN_REFUSED, text, { details: { reason } }));
  }
}

/** `[::ffff:192.0.2.1]:4711` → `192.0.2.1`. */
function addressOf(remote: string): string {
  const host = remote.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  return host.replace(/^::ffff:(?=\d+\.)/i, '');
}
