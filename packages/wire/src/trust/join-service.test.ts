import assert from 'node:assert/strict';
import { silentLogger, type MarsError } from '@mars/brick-core';
import type { Channel } from '../channel/types.js';
import { ManualClock } from '../testing/memory-stream.js';
import { newKey, publicKeyOf, signFor } from './certificates.js';
import { JOIN_SIGNATURE, joinBytes } from './join-messages.js';
import { JoinService } from './join-service.js';
import type { TrustStore } from './trust-store.js';

describe('JoinService', () => {
  /** One request to a service whose store only notes what is asked of it. */
  async function join(changes: Partial<Record<'ip', string>> = {}): Promise<string[]> {
    const steps: string[] = [];
    const store = {
      hasRedeemed: () => false,
      redeem: () => (steps.push('redeem'), {}),
      sync: async () => void steps.push('sync'),
      issue: async () => (steps.push('issue'), { caPem: '', caKeyPem: '', certPem: '', fingerprintHex: 'new' }),
    } as unknown as TrustStore;
    let serve: (channel: Channel) => void = () => {};
    new JoinService({
      peers: { serve: (_, accept) => (serve = accept), noteRefusal: (reason) => void steps.push(`refused ${reason}`) },
      store,
      facts: { isMember: () => false, fingerprintOf: () => null },
      clock: new ManualClock(),
      log: silentLogger,
      host: 'nodea',
      uuid: () => 'uuid',
      admit: (host, ip, fingerprintHex) => void steps.push(`admit ${host} ${ip} ${fingerprintHex}`),
    });
    const keyPem = newKey();
    const ip = changes.ip ?? '';
    const request = {
      token: 'x',
      host: 'nodeb',
      ip,
      publicKeyDer: publicKeyOf(keyPem),
      signature: signFor(JOIN_SIGNATURE, keyPem, joinBytes('x', 'nodeb', ip)),
    };
    await new Promise<void>((resolve) => {
      serve({
        address: '[::ffff:192.0.2.9]:4711',
        on: (_: unknown, handler: (message: unknown) => void) => queueMicrotask(() => handler(request)),
        start: () => {},
        send: () => (steps.push('answer'), true),
        close: (error?: MarsError) => {
          steps.push(error === undefined ? 'close' : `close ${error.code}`);
          resolve();
        },
      } as unknown as Channel);
    });
    return steps;
  }

  it('makes the use of a token durable before it gives anything away, and the facts before it answers', async () => {
    assert.deepEqual(await join(), ['redeem', 'sync', 'issue', 'admit nodeb 192.0.2.9 new', 'answer', 'close']);
  });

  it('takes the address that the new host gives, if it is one', async () => {
    assert.ok((await join({ ip: '2001:db8::2' })).includes('admit nodeb 2001:db8::2 new'));
    assert.deepEqual(await join({ ip: '../../etc' }), ['refused bad-request', 'close JOIN_REFUSED']);
  });
});
