import assert from 'node:assert/strict';
import { OP_FLUSH } from '../request/ops.js';
import type { XioObject } from '../request/xio-object.js';
import { BrickKit, createTestHost, type TestHost } from '../testing/index.js';
import { FilterBrick } from './filter-brick.js';
import { Brick } from './meta.js';

/** Writes down which hook ran, and fails or waits where it is told to. */
@Brick({ type: 'test-hooks', inputs: { next: {} }, ops: 'all' })
class Hooks extends FilterBrick {
  readonly calls: string[] = [];
  failing = '';
  gate: Promise<void> | null = null;
  sendInStart = false;
  signal: AbortSignal | null = null;

  protected override async start(signal: AbortSignal): Promise<void> {
    this.signal = signal;
    if (this.sendInStart) this.sendOne();
    await this.hook('start');
    signal.throwIfAborted();
  }
  protected override draining(): Promise<void> {
    return this.hook('draining');
  }
  protected override stop(): Promise<void> {
    return this.hook('stop');
  }
  protected override detached(): void {
    this.calls.push('detached');
  }
  override complete(o: XioObject): void {
    if (this.objects > 0) this.ctx.pool.free(o);
    else o.done(o.err);
  }
  private async hook(name: string): Promise<void> {
    this.calls.push(name);
    await this.gate;
    if (this.failing === name) throw new Error(`${name} failed`);
  }
  private sendOne(): void {
    const o = this.ctx.pool.take(this, 0)!;
    o.op = OP_FLUSH;
    o.push(this);
    this.next.io(o);
  }
}

describe('power', () => {
  let host: TestHost;
  let brick: Hooks;
  const press = (name: string): Promise<void> => host.clock.settle(host.graph.press(name));
  const release = (name: string): Promise<void> => host.clock.settle(host.graph.release(name));

  beforeEach(() => {
    host = createTestHost({ bricks: [Hooks] });
    host.graph.add('disk', 'test-disk');
    brick = host.graph.add('brick', 'test-hooks') as Hooks;
    host.graph.add('probe', 'test-probe');
    host.graph.connect({ consumer: 'brick', input: 'next', nr: 0 }, 'disk');
    host.graph.connect({ consumer: 'probe', input: 'next', nr: 0 }, 'brick');
  });

  it('a fresh brick is off', () => {
    assert.deepEqual([brick.power.led, brick.power.button], ['off', false]);
  });

  it('goes on from below to above, and off from above to below', async () => {
    await assert.rejects(press('brick'), { code: 'POWER_PROVIDER_OFF' });
    await press('disk');
    await press('brick');
    await assert.rejects(release('disk'), { code: 'POWER_CONSUMER_ON' });
    await release('brick');
    await release('disk');
  });

  it('runs each hook once, however often the button is pressed or released', async () => {
    await press('disk');
    await press('brick');
    await press('brick');
    await release('brick');
    await release('brick');
    await host.clock.settle(host.graph.release('disk'));
    assert.deepEqual(brick.calls, ['start', 'draining', 'stop']);
  });

  it('refuses an input that must be wired and is not', async () => {
    host.graph.add('loose', 'test-hooks');
    await assert.rejects(press('loose'), { code: 'MISSING_WIRE' });
  });

  it('is off again after a failing start, and can be pressed again', async () => {
    await press('disk');
    brick.failing = 'start';
    await assert.rejects(press('brick'), /START_FAILED|could not start: start failed/);
    assert.deepEqual([brick.power.led, brick.power.button], ['off', false]);
    brick.failing = '';
    await press('brick');
    assert.equal(brick.power.led, 'on');
  });

  it('waits for its own requests when a start gives up in the middle', async () => {
    await press('disk');
    const disk = host.graph.get('disk') as unknown as { hold: boolean; letGo(): void };
    disk.hold = true;
    brick.failing = 'start';
    brick.sendInStart = true;
    const pressing = host.graph.press('brick');
    pressing.catch(() => {});
    for (let i = 0; i < 50; i++) await Promise.resolve();
    host.clock.runUntilIdle();
    assert.equal(brick.power.led, 'switching');
    disk.letGo();
    await assert.rejects(host.clock.settle(pressing), { code: 'START_FAILED' });
    assert.equal(brick.power.led, 'off');
    assert.equal(host.loop.pool.outstanding().length, 0);
  });

  it('cancels a start that is under way when the button is released', async () => {
    await press('disk');
    let open = (): void => {};
    brick.gate = new Promise((resolve) => (open = resolve));
    const pressing = host.graph.press('brick');
    pressing.catch(() => {});
    for (let i = 0; i < 50; i++) await Promise.resolve();
    const releasing = host.graph.release('brick');
    assert.equal(brick.signal!.aborted, true);
    open();
    await host.clock.settle(releasing);
    await assert.rejects(pressing, { code: 'START_FAILED' });
    assert.equal(brick.power.led, 'off');
  });

  it('does not let a provider go off while its consumer is starting', async () => {
    await press('disk');
    let open = (): void => {};
    brick.gate = new Promise((resolve) => (open = resolve));
    const pressing = host.graph.press('brick');
    const releasing = host.graph.release('disk');
    await assert.rejects(releasing, { code: 'POWER_CONSUMER_ON' });
    open();
    await host.clock.settle(pressing);
    assert.equal(brick.power.led, 'on');
  });

  it('stops only when everything under way has come back', async () => {
    const kit = new BrickKit(Hooks);
    await kit.open();
    kit.disk.hold = true;
    let answered = 0;
    kit.flush(() => answered++);
    kit.probe.power.set('off');
    kit.probe.power.button = false;
    const releasing = kit.graph.release('brick');
    for (let i = 0; i < 50; i++) await Promise.resolve();
    kit.run();
    assert.deepEqual(kit.brick.calls, ['start', 'draining']);
    assert.equal(kit.brick.power.led, 'switching');
    kit.disk.letGo();
    await kit.settle(releasing);
    assert.deepEqual([answered, kit.brick.power.led], [1, 'off']);
    await kit.close();
  });

  for (const hook of ['draining', 'stop']) {
    it(`goes off although "${hook}" fails, and says so`, async () => {
      await press('disk');
      await press('brick');
      brick.failing = hook;
      await assert.rejects(release('brick'), { code: 'STOP_FAILED' });
      assert.equal(brick.power.led, 'off');
      assert.deepEqual(brick.calls, ['start', 'draining', 'stop']);
    });
  }

  it('a request that is freed outside a tick ends the wait', async () => {
    await press('disk');
    await press('brick');
    const mine = { objects: 0 };
    const o = host.loop.pool.take(mine, 0)!;
    const waiting = host.loop.whenQuiet(() => mine.objects === 0);
    host.clock.runUntilIdle();
    host.loop.pool.free(o);
    host.clock.runUntilIdle();
    await waiting;
  });

  it('a brick is removed only when it is off and nobody is wired to it', async () => {
    await press('disk');
    await press('brick');
    await assert.rejects(host.graph.destroy('brick'), { code: 'BRICK_BUSY' });
    await release('brick');
    await assert.rejects(host.graph.destroy('brick'), { code: 'BRICK_BUSY' });
    await host.graph.destroy('probe');
    await host.graph.destroy('brick');
    assert.equal(brick.calls.at(-1), 'detached');
    assert.throws(() => host.graph.get('brick'), { code: 'NO_SUCH_BRICK' });
  });
});
