import assert from 'node:assert/strict';
import { createTestHost, type TestHost } from '@mars/brick-core/testing';
import { CheckBrick } from '../check/check.js';
import { DelayBrick } from '../delay/delay.js';
import { PowerfailBrick } from '../powerfail/powerfail.js';
import { RamBrick } from '../ram/ram.js';
import { LoadBrick } from './load.js';

const bricks = [LoadBrick, CheckBrick, DelayBrick, PowerfailBrick, RamBrick];

/** Bricks from the top down; the names are their types. */
async function stack(...parts: [type: string, params: Record<string, unknown>][]): Promise<TestHost> {
  const host = createTestHost({ bricks, poolObjects: 512 });
  const { graph, clock } = host;
  for (const [type, params] of parts) graph.add(type, type, params);
  for (let i = 1; i < parts.length; i++) {
    graph.connect({ consumer: parts[i - 1]![0], input: 'next', nr: 0 }, parts[i]![0]);
  }
  for (const [type] of [...parts].reverse()) await clock.settle(graph.press(type));
  return host;
}

async function off({ graph, clock, loop, arena }: TestHost): Promise<void> {
  const topDown = graph.providersFirst().reverse();
  for (const { name } of topDown) await clock.settle(graph.release(name));
  for (const { name } of topDown) await clock.settle(graph.destroy(name));
  assert.deepEqual(loop.pool.outstanding(), []);
  assert.deepEqual(arena.leaks(), []);
}

const fact = ({ graph }: TestHost, brick: string, name: string): unknown => graph.get(brick).stats.fact(name);

describe('LoadBrick in whole stacks', () => {
  it('finds everything that was flushed after power cuts of a volatile cache over a slow disk', async function () {
    this.timeout(60_000);
    for (let seed = 1; seed <= 8; seed++) {
      const host = await stack(
        [
          'load',
          {
            depth: 16,
            mix: '30r/60w/6f/2t/2z',
            sizes: [512, 4096, 16384],
            fua: '10%',
            verify: true,
            count: 6000,
            span: '256K',
            align: 512,
            afterCut: 'durable',
            seed,
          },
        ],
        ['powerfail', { volatile: '1M', seed }],
        ['delay', { read: '1ms', write: '2ms', flush: '3ms', jitter: '2ms', seed }],
        ['ram', { size: '1M' }],
      );
      for (let round = 0; fact(host, 'load', 'finished') !== true; round++) {
        assert.ok(round < 200, 'the load never ends');
        host.clock.advanceMs(60 + seed);
        host.graph.setParam('powerfail', 'cut', true);
        host.clock.advanceMs(30);
        host.graph.setParam('powerfail', 'restart', true);
        host.clock.advanceMs(200);
      }
      assert.equal(fact(host, 'load', 'failed'), false, `seed ${seed}: ${String(fact(host, 'load', 'failure'))}`);
      assert.ok(
        (fact(host, 'load', 'cuts') as number) >= 3,
        `seed ${seed}: ${String(fact(host, 'load', 'cuts'))} cuts`,
      );
      await off(host);
    }
  });

  it('sees no lost, doubled or changed request while a filter is put in and taken out under it, a thousand times', async function () {
    this.timeout(120_000);
    const params = { read: '1ms', write: '2ms', jitter: '1ms' };
    const host = await stack(
      ['load', { depth: 32, mix: '50r/45w/5f', sizes: [512, 4096], verify: true, span: '256K' }],
      ['check', { verifyReads: true, lost: '10s' }],
      // Slow for good, or the load would never leave time for anything else.
      ['delay', params],
      ['ram', { size: '1M' }],
    );
    const { graph, clock } = host;
    for (let round = 0; round < 1000; round++) {
      const wire =
        round % 2 === 0 ? { consumer: 'check', input: 'next', nr: 0 } : { consumer: 'load', input: 'next', nr: 0 };
      await clock.settle(graph.insert(wire, { name: 'extra', type: 'delay', params }));
      clock.advanceMs(1);
      await clock.settle(graph.remove('extra'));
      clock.advanceMs(1);
    }
    assert.equal(fact(host, 'load', 'failed'), false, String(fact(host, 'load', 'failure')));
    assert.equal(fact(host, 'check', 'failed'), false, String(fact(host, 'check', 'failure')));
    assert.ok((fact(host, 'load', 'reads') as number) > 10_000);
    await off(host);
  });
});
