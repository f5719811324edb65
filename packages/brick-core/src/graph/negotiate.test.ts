import assert from 'node:assert/strict';
import { FilterBrick } from '../brick/filter-brick.js';
import { Brick, type PortNeeds } from '../brick/meta.js';
import type { Wire } from '../brick/wire.js';
import { CAP_FLUSH, CAP_WRITE, XioInfo } from '../request/info.js';
import { F_FUA, OP_WRITE } from '../request/ops.js';
import { Probe, createTestHost, type MemoryDisk, type TestHost } from '../testing/index.js';
import { findGaps } from './negotiate.js';

const NEEDS: PortNeeds = { align: 1, maxLen: 2 ** 20, fua: 1, zero: 1, caps: ['WRITE', 'FLUSH'] };

@Brick({ type: 'test-needy', inputs: { next: { needs: NEEDS } } })
class Needy extends Probe {}
@Brick({ type: 'test-greedy', inputs: { next: { needs: { fua: 2 } } } })
class Greedy extends Probe {}
@Brick({ type: 'test-huge', inputs: { next: { needs: { maxLen: 2 ** 25 } } } })
class Huge extends Probe {}
@Brick({ type: 'test-pass', inputs: { next: {} }, ops: 'all' })
class Pass extends FilterBrick {}
@Brick({ type: 'test-no-flush', inputs: { next: {} }, ops: [OP_WRITE] })
class NoFlush extends FilterBrick {}

const NEXT = { consumer: 'top', input: 'next', nr: 0 };
const POOR = { align: 4096, maxLen: '8K', fua: 0, zero: 0 };

describe('negotiation', () => {
  let host: TestHost;
  beforeEach(() => (host = createTestHost({ bricks: [Needy, Greedy, Huge, Pass, NoFlush] })));

  const settle = <T>(promise: Promise<T>): Promise<T> => host.clock.settle(promise);
  async function build(top: string, disk: Record<string, unknown>): Promise<void> {
    host.graph.add('disk', 'test-disk', disk);
    host.graph.add('top', top);
    host.graph.connect(NEXT, 'disk');
    await settle(host.graph.press('disk'));
  }
  const path = (): string[] => {
    const names: string[] = [];
    for (
      let wire: Wire | undefined = host.graph.wire(NEXT);
      wire?.provider;
      wire = [...wire.provider.wires.values()][0]?.[0]
    ) {
      names.push(wire.provider.name);
    }
    return names;
  };

  it('puts in every adaptor that is missing, lowest first, and requests work through them', async () => {
    await build('test-needy', POOR);
    await settle(host.graph.press('top'));
    assert.deepEqual(path(), ['top.next~fua', 'top.next~zero', 'top.next~split', 'top.next~align', 'disk']);
    assert.ok(host.graph.isAdaptor('top.next~fua'));
    assert.deepEqual(host.graph.providerOf(NEXT), { brick: 'disk', port: 'out' });
    const data = new Uint8Array(50_000).map((_, i) => i);
    let err = 1;
    (host.graph.get('top') as Probe).send({ op: 'write', posBytes: 4095, data, flags: F_FUA }, (a) => (err = a.err));
    host.clock.runUntilIdle();
    assert.equal(err, 0);
    assert.deepEqual((host.graph.get('disk') as MemoryDisk).durable.slice(4095, 54_095), data);
  });

  it('puts in nothing where nothing is missing', async () => {
    await build('test-needy', {});
    await settle(host.graph.press('top'));
    assert.deepEqual(path(), ['disk']);
  });

  it('takes the adaptors out again when their consumer goes off, and puts in new ones at the next press', async () => {
    await build('test-needy', POOR);
    for (let round = 0; round < 3; round++) {
      await settle(host.graph.press('top'));
      assert.equal(path().length, 5);
      await settle(host.graph.release('top'));
      assert.deepEqual(path(), ['disk']);
      await settle(host.graph.release('disk'));
      await settle(host.graph.press('disk'));
    }
    assert.deepEqual(host.graph.names(), ['disk', 'top']);
    assert.deepEqual(host.arena.leaks(), []);
  });

  it('refuses with a list of all gaps when no adaptor may be used, and leaves nothing behind', async () => {
    await build('test-needy', POOR);
    await assert.rejects(settle(host.graph.press('top', { adapt: 'never' })), (error: Error & { code: string }) => {
      assert.equal(error.code, 'CAPABILITY_GAP');
      for (const part of ['multiples of 4096', 'at most 8192 bytes', 'zeroing', 'FUA'])
        assert.ok(error.message.includes(part), part);
      return true;
    });
    assert.deepEqual(host.graph.names(), ['disk', 'top']);
  });

  it('refuses what no adaptor can do: native FUA, or requests longer than any', async () => {
    for (const top of ['test-greedy', 'test-huge']) {
      host = createTestHost({ bricks: [Greedy, Huge] });
      await build(top, { fua: 0 });
      await assert.rejects(settle(host.graph.press('top')), { code: 'CAPABILITY_GAP' });
      assert.deepEqual(host.graph.names(), ['disk', 'top']);
    }
  });

  it('is done again when a wire gets another provider under load', async () => {
    await build('test-needy', {});
    await settle(host.graph.press('top'));
    host.graph.add('poor', 'test-disk', POOR);
    await settle(host.graph.press('poor'));
    const probe = host.graph.get('top') as Probe;
    const errors: number[] = [];
    const write = (): boolean =>
      probe.send({ op: 'write', posBytes: 7, data: 'unaligned', flags: F_FUA }, (a) => errors.push(a.err));
    for (let i = 0; i < 10; i++) write();
    const swapping = host.graph.swap(NEXT, 'poor');
    await Promise.resolve();
    for (let i = 0; i < 10; i++) write();
    await settle(swapping);
    host.clock.advanceMs(10);
    assert.deepEqual(errors, new Array(20).fill(0));
    await settle(host.graph.swap(NEXT, 'disk'));
    assert.deepEqual(path(), ['disk']);
    assert.deepEqual(host.graph.names(), ['disk', 'top', 'poor']);
  });

  it('lets a filter in and out above adaptors', async () => {
    await build('test-needy', POOR);
    await settle(host.graph.press('top'));
    await settle(host.graph.insert(NEXT, { name: 'filter', type: 'test-pass' }));
    await settle(host.graph.remove('filter'));
    await settle(host.graph.insert(NEXT, { name: 'filter', type: 'test-pass' }));
    await settle(host.graph.release('top'));
    await settle(host.graph.release('filter'));
    await settle(host.graph.release('disk'));
    assert.deepEqual(host.graph.names(), ['disk', 'top', 'filter']);
  });

  it('refuses a filter that would take away what somebody above needs', async () => {
    await build('test-needy', {});
    await settle(host.graph.press('top'));
    await assert.rejects(settle(host.graph.insert(NEXT, { name: 'bad', type: 'test-no-flush' })), {
      code: 'CAPABILITY_GAP',
    });
    assert.deepEqual(host.graph.names(), ['disk', 'top']);
    await settle(host.graph.insert(NEXT, { name: 'filter', type: 'test-pass' }));
    const below = { consumer: 'filter', input: 'next', nr: 0 };
    await assert.rejects(settle(host.graph.insert(below, { name: 'bad', type: 'test-no-flush' })), {
      code: 'CAPABILITY_GAP',
    });
    assert.deepEqual(path(), ['filter', 'disk']);
  });

  it('asks nothing of a provider that nobody may write', () => {
    const info = new XioInfo();
    assert.deepEqual(findGaps({ fua: 1, zero: 1 }, info), []);
    assert.deepEqual(findGaps({ caps: ['WRITE'] }, info), [{ text: 'WRITE is missing' }]);
    info.caps = CAP_WRITE;
    assert.deepEqual(findGaps({ fua: 1 }, info), [{ text: 'FUA is not possible, emulated is needed' }]);
    info.caps |= CAP_FLUSH;
    assert.equal(findGaps({ fua: 1 }, info)[0]!.adaptor!.type, 'fua');
  });
});
