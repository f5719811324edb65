import assert from 'node:assert/strict';
import { Brick, FilterBrick, PRIO_LOW, type XioObject } from '@mars/brick-core';
import { BrickKit, StackKit, describeBrickConformance, useBrickKit } from '@mars/brick-core/testing';
import { fileOf, scriptedHost } from '../testing/scripted-machine.test.kit.js';
import { BioBrick } from './bio.js';

/** Gives requests in the upper half of the device low priority. */
@Brick({ type: 'test-low', inputs: { next: {} }, ops: 'all' })
class LowBrick extends FilterBrick {
  override io(o: XioObject): void {
    o.prio = o.pos >= 2 ** 19 ? PRIO_LOW : 0;
    o.push(this);
    this.next.io(o);
  }
  override complete(o: XioObject): void {
    o.prio = 0;
    o.done(o.err);
  }
}

const LOW = 2 ** 19;

describe('BioBrick', () => {
  const host = scriptedHost({}, fileOf(2 ** 20, { isBlockDevice: true, alignBytes: 4096 }));
  const kit = useBrickKit(BioBrick, { path: '/f' }, host);
  describeBrickConformance(kit, { requests: 100 });

  it('asks for whole sectors of the device', async () => {
    const { cached } = kit.graph.wire({ consumer: 'probe', input: 'next', nr: 0 });
    assert.equal(cached.align, 4096);
    assert.ok((await kit.answerOf({ op: 'read', posBytes: 512, lenBytes: 512 })).err < 0);
  });

  it('refuses what is no block device', async () => {
    const files = scriptedHost({}, fileOf(4096));
    const other = new BrickKit(BioBrick, { path: '/f' }, files);
    await assert.rejects(other.open(), /no block device/);
    await other.close();
    assert.equal(files.machine().files.byPath.get('/f')!.opened, 0, 'the file was left open');
  });

  describe('background requests', () => {
    const openWith = async (params: Record<string, unknown>): Promise<StackKit> => {
      const stack = new StackKit(
        'low over bio',
        (graph) => {
          graph.add('bio', 'bio', { path: '/f', ...params });
          graph.add('low', 'test-low');
          graph.connect({ consumer: 'low', input: 'next', nr: 0 }, 'bio');
          return 'low';
        },
        { ...host, bricks: [BioBrick, LowBrick] },
      );
      await stack.open();
      return stack;
    };
    const send = (stack: StackKit, posBytes: number, done?: () => void): void => {
      stack.probe.send({ op: 'read', posBytes, lenBytes: 4096 }, done);
      stack.run();
    };

    it('wait while the device has other work', async () => {
      const stack = await openWith({});
      const { ring } = host.machine();
      const seen = ring.record();
      ring.hold();
      send(stack, 0);
      send(stack, LOW);
      assert.equal(seen.length, 1);
      ring.letGo();
      await stack.runFor(1);
      assert.deepEqual(
        seen.map((op) => op.posBytes),
        [0, LOW],
      );
      await stack.close();
    });

    it('run beside up to bgThreshold others', async () => {
      const stack = await openWith({ bgThreshold: 1 });
      const { ring } = host.machine();
      const seen = ring.record();
      ring.hold();
      send(stack, 0);
      send(stack, LOW);
      send(stack, 4096);
      send(stack, LOW + 4096);
      assert.deepEqual(
        seen.map((op) => op.posBytes),
        [0, LOW, 4096],
      );
      ring.letGo();
      await stack.runFor(1);
      assert.equal(seen.length, 4);
      await stack.close();
    });

    it('run bgMaxFly at a time', async () => {
      const stack = await openWith({ bgMaxFly: 2 });
      const { ring } = host.machine();
      const seen = ring.record();
      let answered = 0;
      ring.hold();
      for (let i = 0; i < 5; i++) send(stack, LOW + i * 4096, () => answered++);
      assert.equal(seen.length, 2);
      ring.letGo();
      await stack.runFor(1);
      assert.deepEqual([seen.length, answered], [5, 5]);
      await stack.close();
    });
  });
});
