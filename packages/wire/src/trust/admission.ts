import type { SecurePeer } from '@mars/brick-core';
import { MAX_SUCCESSIONS } from '../limits.js';
import { fingerprintOf, isSignedFor, readCertificate, signFor } from './certificates.js';
import type { MemberFacts, Refusal, RefusalReason, Succession } from './types.js';

export interface Applicant {
  /** Who it says to be. */
  readonly host: string;
  readonly peer: SecurePeer | null;
  readonly successions: readonly Succession[];
}

export interface AdmissionRules {
  readonly me: string;
  /** Whom we wanted to reach; null = it came by itself. */
  readonly expected: string | null;
  /** A plain-text cluster: names are believed. */
  readonly isPlain: boolean;
  readonly facts: Pick<MemberFacts, 'isMember' | 'fingerprintOf'>;
}

export type Verdict = { kind: 'in'; renewed: boolean } | { kind: 'out'; refusal: Refusal };

/** Names as hosts may have them. Source: symlink-tree.md, "Grammar tokens" */
export function isHostName(name: string): boolean {
  return /^[A-Za-z0-9_][-A-Za-z0-9_]{0,62}$/.test(name);
}

/**
 * May this host talk to us as a member? Its certificate is already known to be of our authority and valid now. That is not enough:
 * every former member holds the key of the authority, so only what the tree names counts.
 *
 * | must hold | else |
 * |---|---|
 * | the name is possible, not ours, and the one we wanted | bad-request, own-name, wrong-host |
 * | there is a certificate, for that name | no-certificate, wrong-name |
 * | `ips/ip-HOST` is there | no-member |
 * | `userspace/tls-HOST` is its fingerprint, or that of a certificate that vouches for it | not-admitted, other-certificate |
 */
export function admission({ host, peer, successions }: Applicant, rules: AdmissionRules): Verdict {
  const { me, expected, isPlain, facts } = rules;
  if (!isHostName(host)) return out('bad-request', 'it has no possible name');
  if (host === me) return out('own-name', `it says to be this host, ${me}`);
  if (expected !== null && host !== expected)
    return out('wrong-host', `${expected} was expected, ${host} has answered`);
  if (isPlain) return { kind: 'in', renewed: false };
  if (peer === null) return out('no-certificate', 'it shows no certificate');
  if (peer.name !== host) return out('wrong-name', `its certificate is for ${JSON.stringify(peer.name)}`);
  if (!facts.isMember(host)) return out('no-member', `${host} is no member of this cluster (any more)`);
  const pin = facts.fingerprintOf(host);
  if (pin === null) return out('not-admitted', `the tree does not know the certificate of ${host} yet`);
  if (pin === peer.fingerprintHex) return { kind: 'in', renewed: false };
  if (isSuccessor(pin, peer.fingerprintHex, successions)) return { kind: 'in', renewed: true };
  return out('other-certificate', `the tree names another certificate for ${host}`);
}

function out(reason: RefusalReason, text: string): Verdict {
  return { kind: 'out', refusal: { reason, text } };
}

const PURPOSE = 'succession';

/** The word of an old certificate that a new one is its own. */
export function vouchFor(former: { certPem: string; keyPem: string }, nextFingerprintHex: string): Succession {
  const signature = signFor(PURPOSE, former.keyPem, Buffer.from(nextFingerprintHex));
  return { certificateDer: readCertificate(former.certPem).der, signature };
}

/** Does an unbroken chain of signatures lead from the certificate that we know to the one that was shown? */
export function isSuccessor(knownHex: string, shownHex: string, successions: readonly Succession[]): boolean {
  let next = shownHex;
  for (const { certificateDer, signature } of successions.slice(0, MAX_SUCCESSIONS)) {
    if (!isSignedFor(PURPOSE, { certificateDer }, Buffer.from(next), signature)) return false;
    next = fingerprintOf(certificateDer);
    if (next === knownHex) return true;
  }
  return false;
}
