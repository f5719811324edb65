import assert from 'node:assert/strict';
import { FilterBrick } from '../brick/filter-brick.js';
import { Brick } from '../brick/meta.js';
import { InvariantError, invariant } from '../invariant.js';
import type { XioInfo } from '../request/info.js';
import { createTestHost, type TestHost } from '../testing/index.js';

/** Notes its rounds, and grows in each. */
@Brick({ type: 'test-rounds', inputs: { next: {} }, ops: 'all' })
class Rounds extends FilterBrick {
  static order: string[] = [];
  error: Error | null = null;
  seenBytes = 0;
  private cutBytes = 1024;

  override info(into: XioInfo): number {
    const err = super.info(into);
    into.size -= this.cutBytes;
    return err;
  }

  protected override round(): void {
    Rounds.order.push(this.name);
    this.seenBytes = this.next.cached.size;
    if (this.error !== null) throw this.error;
    this.cutBytes = 512;
    this.ctx.infoChanged();
  }
}

/** Leaves `round` alone. */
@Brick({ type: 'test-no-rounds', inputs: { next: {} }, ops: 'all' })
class NoRounds extends FilterBrick {}

describe('rounds', () => {
  let host: TestHost;
  const brick = (name: string): Rounds => host.graph.get(name) as Rounds;

  beforeEach(async () => {
    Rounds.order = [];
    host = createTestHost({ bricks: [Rounds, NoRounds] });
    const { graph } = host;
    graph.add('disk', 'test-disk');
    for (const [name, below] of [
      ['low', 'disk'],
      ['middle', 'low'],
      ['high', 'middle'],
    ] as const) {
      graph.add(name, name === 'middle' ? 'test-no-rounds' : 'test-rounds');
      graph.connect({ consumer: name, input: 'next', nr: 0 }, below);
    }
    for (const name of ['disk', 'low', 'middle']) await host.clock.settle(graph.press(name));
  });

  it('come only to bricks that are pressed and on', async () => {
    host.graph.round();
    assert.deepEqual(Rounds.order, ['low']);
    await host.clock.settle(host.graph.press('high'));
    host.graph.round();
    assert.deepEqual(Rounds.order, ['low', 'low', 'high']);
    await host.clock.settle(host.graph.release('high'));
    host.graph.round();
    assert.deepEqual(Rounds.order, ['low', 'low', 'high', 'low']);
  });

  it('come to providers first, so that those above see in the same round what has changed below', async () => {
    await host.clock.settle(host.graph.press('high'));
    const { size } = host.graph.wire({ consumer: 'low', input: 'next', nr: 0 }).cached;
    host.graph.round();
    assert.equal(brick('high').seenBytes, size - 512);
  });

  it('switch off a brick that throws in one, and the others have their turn', async () => {
    await host.clock.settle(host.graph.press('high'));
    const threw: string[] = [];
    host.graph.onEvent((event) => event.kind === 'threw' && threw.push(event.brick));
    brick('low').error = new Error('no');
    host.graph.round();
    host.graph.round();
    assert.deepEqual(Rounds.order, ['low', 'high', 'high']);
    assert.deepEqual(threw, ['low']);
    assert.equal(brick('low').power.forceOff, true);
  });

  it('do not hide a failed invariant', () => {
    try {
      invariant(false, 'ours');
    } catch (error) {
      brick('low').error = error as Error;
    }
    assert.throws(() => host.graph.round(), InvariantError);
  });
});
