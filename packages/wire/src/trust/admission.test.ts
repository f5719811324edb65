import assert from 'node:assert/strict';
import type { SecurePeer } from '@mars/brick-core';
import { admission, isHostName, isSuccessor, vouchFor, type AdmissionRules, type Applicant } from './admission.js';
import { createAuthority, issueCertificate, newKey, publicKeyOf, readCertificate } from './certificates.js';
import type { RefusalReason, Succession } from './types.js';

const NOW_MS = 1_795_191_001_250;

const peer = (name: string, fingerprintHex: string): SecurePeer => ({
  name,
  fingerprintHex,
  certificateDer: new Uint8Array(0),
  expiresMs: NOW_MS,
});

const applicant = (changes: Partial<Applicant> = {}): Applicant => ({
  host: 'nodeb',
  peer: peer('nodeb', 'pin-b'),
  successions: [],
  ...changes,
});

const rules = (changes: Partial<AdmissionRules> = {}, pin: string | null = 'pin-b'): AdmissionRules => ({
  me: 'nodea',
  expected: null,
  isPlain: false,
  facts: { isMember: (host) => host === 'nodeb', fingerprintOf: () => pin },
  ...changes,
});

function reason(who: Applicant, by: AdmissionRules): RefusalReason | 'in' {
  const verdict = admission(who, by);
  return verdict.kind === 'in' ? 'in' : verdict.refusal.reason;
}

describe('admission', () => {
  const table: [what: string, who: Applicant, by: AdmissionRules, result: RefusalReason | 'in'][] = [
    ['a member', applicant(), rules(), 'in'],
    ['the member that we wanted', applicant(), rules({ expected: 'nodeb' }), 'in'],
    ['another one than we wanted', applicant(), rules({ expected: 'nodec' }), 'wrong-host'],
    ['somebody with our name', applicant({ host: 'nodea', peer: peer('nodea', 'pin-b') }), rules(), 'own-name'],
    ['somebody without certificate', applicant({ peer: null }), rules(), 'no-certificate'],
    ['somebody with the certificate of another', applicant({ peer: peer('nodec', 'pin-b') }), rules(), 'wrong-name'],
    ['somebody with a nameless certificate', applicant({ peer: peer('', 'pin-b') }), rules(), 'wrong-name'],
    ['somebody unknown', applicant({ host: 'nodec', peer: peer('nodec', 'pin-b') }), rules(), 'no-member'],
    ['a member that nobody has admitted', applicant(), rules({}, null), 'not-admitted'],
    ['a member with another certificate', applicant(), rules({}, 'pin-x'), 'other-certificate'],
    ['an impossible name', applicant({ host: '../etc' }), rules(), 'bad-request'],
    ['an impossible name, in plain text', applicant({ host: '' }), rules({ isPlain: true }), 'bad-request'],
    ['anybody, in plain text', applicant({ host: 'nodec', peer: null }), rules({ isPlain: true }, null), 'in'],
    ['our own name, in plain text', applicant({ host: 'nodea' }), rules({ isPlain: true }), 'own-name'],
    ['the wrong host, in plain text', applicant(), rules({ isPlain: true, expected: 'nodec' }), 'wrong-host'],
  ];
  for (const [what, who, by, result] of table) it(`of ${what}: ${result}`, () => assert.equal(reason(who, by), result));

  it('knows names of hosts', () => {
    for (const good of ['a', 'node-a', 'Node_1', '0', 'x'.repeat(63)]) assert.ok(isHostName(good), good);
    for (const bad of ['', '-a', 'a.b', 'a/b', 'a b', 'ä', 'x'.repeat(64), 'a\n']) assert.ok(!isHostName(bad), bad);
  });
});

describe('a certificate that vouches for the next', () => {
  interface Held {
    certPem: string;
    keyPem: string;
    hex: string;
  }
  const chain: Held[] = [];
  const held = async (name: string): Promise<Held> => {
    const keyPem = newKey();
    const certPem = await issueCertificate(await authority, name, publicKeyOf(keyPem), NOW_MS);
    return { certPem, keyPem, hex: readCertificate(certPem).fingerprintHex };
  };
  const authority = createAuthority(NOW_MS);
  /** Newest first, as they are shown. */
  const words = (upTo: number): Succession[] =>
    Array.from({ length: upTo }, (_, i) => vouchFor(chain[upTo - 1 - i]!, chain[upTo - i]!.hex));

  before(async () => {
    for (let i = 0; i < 7; i++) chain.push(await held('nodeb'));
  });

  it('leads from any of the last four to the present one', () => {
    for (let known = 2; known < 6; known++)
      assert.ok(isSuccessor(chain[known]!.hex, chain[6]!.hex, words(6)), `${known}`);
    assert.ok(!isSuccessor(chain[1]!.hex, chain[6]!.hex, words(6)), 'the list has a bound');
  });

  it('is believed for one certificate only', async () => {
    const evil = await held('nodeb');
    assert.ok(!isSuccessor(chain[0]!.hex, evil.hex, words(1)));
    assert.ok(isSuccessor(chain[0]!.hex, chain[1]!.hex, words(1)));
  });

  it('is not believed when somebody else has signed, although certificates are no secret', async () => {
    const evil = await held('nodeb');
    const { certificateDer } = vouchFor(chain[0]!, 'x');
    const { signature } = vouchFor(evil, evil.hex);
    for (const forged of [signature, new Uint8Array(0), Uint8Array.of(1, 2, 3)])
      assert.ok(!isSuccessor(chain[0]!.hex, evil.hex, [{ certificateDer, signature: forged }]));
  });

  it('is not believed across a gap, or when it is no certificate', () => {
    const [newest, , ...older] = words(6);
    assert.ok(!isSuccessor(chain[2]!.hex, chain[6]!.hex, [newest!, ...older]));
    assert.ok(!isSuccessor('x', chain[6]!.hex, [{ certificateDer: Uint8Array.of(1), signature: Uint8Array.of(2) }]));
    assert.ok(!isSuccessor(chain[0]!.hex, chain[1]!.hex, []));
  });
});
