import { ErrorCode, MarsError, type Clock, type SecureNet } from '@mars/brick-core';
import { greet } from '../channel/handshake.js';
import { Session } from '../channel/session.js';
import type { Channel, Stamps } from '../channel/types.js';
import { CONNECT_TIMEOUT_MS, JOIN_TIMEOUT_MS } from '../limits.js';
import { JOIN } from '../net/peer-net.js';
import type { MessageOf } from '../struct/struct.js';
import { publicKeyOf, signFor } from './certificates.js';
import { JOIN_ANSWER, JOIN_REQUEST, JOIN_SIGNATURE, joinBytes } from './join-messages.js';
import { trustError } from './trust-files.js';
import type { TrustStore } from './trust-store.js';
import type { JoinResult, JoinToken, RefusalReason } from './types.js';

export interface RedeemOptions {
  net: SecureNet;
  clock: Clock;
  store: TrustStore;
  /** This host. */
  host: string;
  /** Of the program, for people. */
  version: string;
  /** Address of this host for `ips/ip-HOST`; null: as the inviter sees us. */
  ip: string | null;
  signal?: AbortSignal;
}

/** True when it is no use to show the same token again: a person has to do something. */
export function isFinalRefusal(error: MarsError): boolean {
  const isRefusal = error.code === ErrorCode.JOIN_REFUSED || error.code === ErrorCode.PEER_REFUSED;
  return isRefusal && error.details['reason'] !== ('too-many' satisfies RefusalReason);
}

type Answer = MessageOf<typeof JOIN_ANSWER>;

/**
 * The joining side: shows the kept token (`TrustStore.keepToken`) to the inviting host, and puts what it gets into `.trust/`.
 * May be repeated when it broke off in the middle: the inviter gives the same host the same answer until the token expires.
 * @throws MarsError JOIN_REFUSED, PEER_REFUSED (`details.reason`: a RefusalReason; no use to try again), SOCKET, TLS_REFUSED,
 * WIRE_SILENT (try again later), TRUST_STATE
 */
export async function redeemToken(options: RedeemOptions): Promise<JoinResult> {
  const { store, host, ip } = options;
  const state = store.read();
  if (state.kind !== 'joining') throw trustError('there is no join token');
  const { token, line } = state;
  const keyPem = store.joiningKey();
  const channel = await reach(options, token);
  const asked = waitForAnswer(channel, options.clock);
  channel.send(JOIN_REQUEST, {
    token: line,
    host,
    ip: ip ?? '',
    publicKeyDer: publicKeyOf(keyPem),
    signature: signFor(JOIN_SIGNATURE, keyPem, joinBytes(line, host, ip ?? '')),
  });
  const { uuid, ...certificates } = await asked;
  store.completeJoin(host, token, certificates);
  await store.sync();
  const joined = store.read();
  if (joined.kind !== 'member') throw trustError('what the inviting host has sent was not kept');
  return {
    inviter: token.inviter,
    inviterFingerprintHex: token.inviterFingerprintHex,
    inviterAddress: token.address,
    uuid,
    fingerprintHex: joined.fingerprintHex,
    authorityMadeMs: joined.authorityMadeMs,
  };
}

/** Only the host that has issued the token gets to see it: TLS checks its certificate before we say anything. */
async function reach({ net, clock, host, version, signal }: RedeemOptions, token: JoinToken): Promise<Channel> {
  const trust = { kind: 'joining', serverFingerprintHex: token.inviterFingerprintHex } as const;
  const withSignal = signal === undefined ? {} : { signal };
  const stream = await net.connect(token.address, trust, { timeoutMs: CONNECT_TIMEOUT_MS, ...withSignal });
  const session = new Session({ stream, clock, stamps: NO_STAMPS });
  await greet(session, {
    clock,
    me: { host, purpose: JOIN, version, capabilities: [], successions: [] },
    admit: (hello) =>
      hello.host === token.inviter ? null : { reason: 'wrong-host', text: `${token.inviter} was expected` },
    isMember: () => false,
    ...withSignal,
  });
  return session;
}

/** The clock of the tree starts with the first tree that arrives, not with the join. */
const NO_STAMPS: Stamps = { now: () => 0n, seen: () => {} };

function waitForAnswer(channel: Channel, clock: Clock): Promise<Answer> {
  return new Promise((resolve, reject) => {
    channel.on(JOIN_ANSWER, resolve);
    channel.onClose((error) => reject(error ?? noAnswer(channel.address)));
    clock.after(JOIN_TIMEOUT_MS, channel, (late) => late.close(noAnswer(late.address)));
    channel.start();
  });
}

function noAnswer(who: string): MarsError {
  return new MarsError(ErrorCode.WIRE_SILENT, `${who} did not answer the join request`, {
    hint: 'Try again; the same token is still good until it expires.',
  });
}
