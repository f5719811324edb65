import assert from 'node:assert/strict';
import { RING_FSYNC, RING_READ, RING_WRITE } from '@mars/brick-core';
import { BrickKit, describeBrickConformance, useBrickKit } from '@mars/brick-core/testing';
import { SIO_MAX_READS } from '../limits.js';
import { fileOf, scriptedHost } from '../testing/scripted-machine.test.kit.js';
import { SioBrick } from './sio.js';

describe('SioBrick', () => {
  const host = scriptedHost({}, fileOf(2 ** 20));
  describeBrickConformance(useBrickKit(SioBrick, { path: '/f' }, host), { requests: 100 });

  describe('order', () => {
    let kit: BrickKit<SioBrick>;
    beforeEach(async () => {
      kit = new BrickKit(SioBrick, { path: '/f' }, host);
      await kit.open();
    });
    afterEach(() => kit.close());

    it('one change is under way at a time, in the order of arrival, flushes included', async () => {
      const { ring } = host.machine();
      const seen = ring.record();
      ring.hold();
      for (let i = 0; i < 3; i++) kit.probe.send({ op: 'write', posBytes: i * 512, data: 'x' });
      kit.probe.send({ op: 'flush' });
      kit.probe.send({ op: 'write', posBytes: 4 * 512, data: 'x' });
      for (let underWay = 1; underWay <= 5; underWay++) {
        kit.run();
        assert.equal(seen.length, underWay);
        ring.letGo();
        ring.hold();
      }
      kit.run();
      ring.letGo();
      await kit.runFor(1);
      assert.deepEqual(
        seen.map((op) => (op.code === RING_FSYNC ? 'flush' : op.posBytes / 512)),
        [0, 1, 2, 'flush', 4],
      );
    });

    it('reads overtake changes, at most 16 at a time', async () => {
      const { ring } = host.machine();
      const seen = ring.record();
      ring.hold();
      for (let i = 0; i < 3; i++) kit.probe.send({ op: 'write', posBytes: i * 512, data: 'x' });
      for (let i = 0; i < 20; i++) kit.probe.send({ op: 'read', posBytes: i * 512, lenBytes: 512 });
      kit.run();
      assert.equal(seen.filter((op) => op.code === RING_WRITE).length, 1);
      assert.equal(seen.filter((op) => op.code === RING_READ).length, SIO_MAX_READS);
      ring.letGo();
      await kit.runFor(1);
      assert.equal(seen.length, 23);
    });

    it('thousands that are answered at once do not go deeper and deeper', async () => {
      await kit.close();
      kit = new BrickKit(SioBrick, { path: '/f', sync: 'none' }, host);
      await kit.open();
      const { ring } = host.machine();
      ring.hold();
      let answered = 0;
      kit.probe.send({ op: 'write', posBytes: 0, data: 'x' }, () => answered++);
      for (let i = 0; i < 120; i++) kit.probe.send({ op: 'flush' }, () => answered++);
      kit.run();
      assert.equal(answered, 0);
      const depth = Error.stackTraceLimit;
      Error.stackTraceLimit = Infinity;
      let deepest = 0;
      const finish = kit.loop.finish.bind(kit.loop);
      kit.loop.finish = (o, err) => {
        deepest = Math.max(deepest, new Error('depth').stack!.split('\n').length);
        finish(o, err);
      };
      ring.letGo();
      kit.run();
      Error.stackTraceLimit = depth;
      assert.equal(answered, 121);
      assert.ok(deepest < 60, `${deepest} calls deep`);
    });
  });

  it('makes a missing file, unless it is read-only', async () => {
    const empty = scriptedHost();
    const kit = new BrickKit(SioBrick, { path: '/new' }, empty);
    await kit.open();
    await kit.close();
    assert.ok(empty.machine().files.byPath.has('/new'));
    const reader = new BrickKit(SioBrick, { path: '/new', readonly: true }, empty);
    await assert.rejects(reader.open(), /ENOENT/);
    await reader.close();
  });
});
