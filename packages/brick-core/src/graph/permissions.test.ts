import assert from 'node:assert/strict';
import { FilterBrick } from '../brick/filter-brick.js';
import { BrickBase } from '../brick/brick-base.js';
import { Brick } from '../brick/meta.js';
import type { XioObject } from '../request/xio-object.js';
import { createTestHost, type TestHost } from '../testing/index.js';

@Brick({ type: 'test-writer', inputs: { next: {} } })
class Writer extends BrickBase {
  complete(o: XioObject): void {
    this.ctx.pool.free(o);
  }
}
@Brick({ type: 'test-reader', inputs: { next: { perm: ['read'], share: ['read', 'write'] } } })
class Reader extends BrickBase {
  complete(o: XioObject): void {
    this.ctx.pool.free(o);
  }
}
@Brick({ type: 'test-jealous', inputs: { next: { perm: ['read'], share: [] } } })
class Jealous extends BrickBase {
  complete(o: XioObject): void {
    this.ctx.pool.free(o);
  }
}
@Brick({ type: 'test-pass', inputs: { next: {} }, ops: 'all' })
class Pass extends FilterBrick {}
@Brick({ type: 'test-own-writes', inputs: { next: { perm: ['write'], share: ['read'] } }, ops: 'all' })
class OwnWrites extends FilterBrick {}

describe('permissions', () => {
  let host: TestHost;
  beforeEach(async () => {
    host = createTestHost({ bricks: [Writer, Reader, Jealous, Pass, OwnWrites] });
    add('disk', 'test-disk');
    await press('disk');
  });

  function add(name: string, type: string, provider?: string): void {
    host.graph.add(name, type);
    if (provider !== undefined) host.graph.connect({ consumer: name, input: 'next', nr: 0 }, provider);
  }
  const press = (...names: string[]): Promise<void> =>
    host.clock.settle(names.reduce((before, name) => before.then(() => host.graph.press(name)), Promise.resolve()));
  const conflicts = (promise: Promise<void>): Promise<void> => assert.rejects(promise, { code: 'PERMISSION_CONFLICT' });

  it('refuse a second writer on the same provider, and say who the first is', async () => {
    add('first', 'test-writer', 'disk');
    add('second', 'test-writer', 'disk');
    await press('first');
    await assert.rejects(press('second'), /"second" and "first" exclude each other on "disk" \(write\)/);
    assert.equal(host.graph.get('second').power.button, false);
    await host.clock.settle(host.graph.release('first'));
    await press('second');
  });

  it('let readers that share writing join a writer', async () => {
    add('writer', 'test-writer', 'disk');
    add('reader', 'test-reader', 'disk');
    await press('writer', 'reader');
  });

  it('refuse even a reader when somebody shares nothing', async () => {
    add('jealous', 'test-jealous', 'disk');
    add('reader', 'test-reader', 'disk');
    await press('jealous');
    await conflicts(press('reader'));
  });

  it('are seen through filters on both sides, although the filters were switched on first', async () => {
    add('f1', 'test-pass', 'disk');
    add('f2', 'test-pass', 'disk');
    add('f3', 'test-pass', 'f2');
    add('first', 'test-writer', 'f1');
    add('second', 'test-writer', 'f3');
    await press('f1', 'f2', 'f3', 'first');
    await conflicts(press('second'));
  });

  it('are not claimed by a filter whose consumers are off', async () => {
    add('f1', 'test-pass', 'disk');
    add('off', 'test-writer', 'f1');
    add('first', 'test-writer', 'disk');
    await press('f1', 'first');
    await host.clock.settle(host.graph.release('first'));
    await press('off');
    await conflicts(press('first'));
  });

  it('are claimed by a filter that writes on its own account', async () => {
    add('own', 'test-own-writes', 'disk');
    add('writer', 'test-writer', 'disk');
    await press('own');
    await conflicts(press('writer'));
  });

  it('are checked when a brick that is on is rewired or gets another wire', async () => {
    add('other', 'test-disk');
    await press('other');
    add('first', 'test-writer', 'disk');
    add('second', 'test-writer', 'other');
    await press('first', 'second');
    await conflicts(host.clock.settle(host.graph.swap({ consumer: 'second', input: 'next', nr: 0 }, 'disk')));
    assert.equal(host.graph.providerOf({ consumer: 'second', input: 'next', nr: 0 })!.brick, 'other');
    await host.clock.settle(host.graph.disconnect({ consumer: 'second', input: 'next', nr: 0 }));
    assert.throws(() => host.graph.connect({ consumer: 'second', input: 'next', nr: 0 }, 'disk'), {
      code: 'PERMISSION_CONFLICT',
    });
    assert.equal(host.graph.providerOf({ consumer: 'second', input: 'next', nr: 0 }), null);
  });
});
