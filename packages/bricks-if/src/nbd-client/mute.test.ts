import assert from 'node:assert/strict';
import { disk, server, withClient, type Answer } from '../testing/client-kit.test.kit.js';

const read = { op: 'read', posBytes: 8192, lenBytes: 512 } as const;

/** The first connection never answers `type`; all others do. */
const muteFor =
  (type: number): Answer =>
  (request, peer, connection) =>
    connection === 0 && request.type === type ? null : disk()(request, peer, connection);

describe('NbdClientBrick and a server that is mute', () => {
  it('looks for it anew after the timeout, and asks again', () =>
    withClient(server(muteFor(0)), { timeout: '2s' }, async (kit) => {
      let err = 1;
      kit.probe.send(read, (answer) => (err = answer.err));
      await kit.runFor(1900);
      assert.equal(kit.brick.stats.counter('connections_lost').n, 0);
      await kit.runFor(1000);
      assert.equal(err, 0);
      assert.equal(kit.brick.stats.counter('connections_lost').n, 1);
      assert.equal(kit.brick.stats.counter('sent_again').n, 1);
    }));

  it('waits for ever without a timeout', () =>
    withClient(server(muteFor(0)), {}, async (kit, host) => {
      let isAnswered = false;
      kit.probe.send(read, () => (isAnswered = true));
      await kit.runFor(10_000);
      assert.deepEqual([isAnswered, kit.brick.stats.counter('connections_lost').n], [false, 0]);
      host.ring().cut(host.ring().all[0]!);
      await kit.runFor(100);
      assert.equal(isAnswered, true);
    }));

  it('leaves a connection alone on which nothing is asked, or something is heard', () =>
    withClient(server(muteFor(3)), { timeout: '2s' }, async (kit) => {
      await kit.runFor(10_000);
      let flushErr = 1;
      kit.probe.send({ op: 'flush' }, (answer) => (flushErr = answer.err));
      for (let i = 0; i < 10; i++) {
        assert.equal((await kit.answerOf(read)).err, 0);
        await kit.runFor(1000);
      }
      assert.equal(kit.brick.stats.counter('connections_lost').n, 0);
      await kit.runFor(5000);
      assert.deepEqual([flushErr, kit.brick.stats.counter('connections_lost').n], [0, 1]);
    }));
});
