import assert from 'node:assert/strict';
import { LOGGER_FAULTS } from '@mars/bricks-logger';
import { World } from '../world/world.js';
import { bareKeeper } from './bare-keeper.js';
import { DiskWatch } from './disk-watch.js';
import type { JudgedClient } from './if-judged.js';
import type { LoggerSettings, RunningLogger } from './keeper.js';

const LIMIT_BYTES = 2 * 1024 * 1024;
const DEVICE_BYTES = 4 * 1024 * 1024;
const PLACES = { logs: '/mars/resource-r', data: '/dev/vda', host: 'a' };

/**
 * A data device that takes no write any more, under a client that never stops writing.
 * @returns the most memory that was ever used, and how many reads and writes were answered meanwhile
 */
async function stalled(seed: number, noMemoryLimit: boolean): Promise<{ most: number; reads: number; writes: number }> {
  const world = new World({ seed });
  let running: RunningLogger | null = null;
  const host = world.addHost('a', { arenaBytes: 32 * 1024 * 1024, poolObjects: 128 });
  host.container.register(LOGGER_FAULTS, { useValue: { noMemoryLimit } });
  host.disk.addDevice('vda', DEVICE_BYTES);
  host.files.makeDir(PLACES.logs, { recursive: true });
  const watch = new DiskWatch(host, PLACES, DEVICE_BYTES);
  const client: JudgedClient = { judge: watch.judge, needsSurvey: true, onWrong: (error) => world.fail(error) };
  const settings: LoggerSettings = {
    places: PLACES,
    deviceBytes: DEVICE_BYTES,
    logger: { 'memory-limit': LIMIT_BYTES, 'report-interval': '1ms', 'sync-after': '1ms' },
    client: { depth: 32, longest: '64K', write: 60, fua: 0, flush: 0, pause: 0, seed },
    rotateBytes: 0,
    mayFail: false,
  };
  host.run(async () => {
    running = await bareKeeper(host, settings, client);
  });
  await world.run({ until: () => running !== null && !client.needsSurvey, maxVirtualMs: 10_000 });
  const stuck = host.disk.fault({ on: 'write', path: 'vda', stuck: true });
  let most = 0;
  const before = { reads: watch.judge.history.judgedSectors, writes: watch.judge.counts.answers };
  await world.run({
    until: () => {
      most = Math.max(most, Number(running!.loggerFact('memory') ?? 0));
      return world.nowMs > 200;
    },
    maxVirtualMs: 10_000,
  });
  const after = { reads: watch.judge.history.judgedSectors, writes: watch.judge.counts.answers };
  stuck.release();
  await world.drive(running!.stop(), { maxVirtualMs: 60_000 });
  watch.judge.stoppedCleanly();
  world.close();
  return { most, reads: after.reads - before.reads, writes: after.writes - before.writes };
}

describe('A logger over a data device that takes no writes', function () {
  this.timeout(0);

  it('INV-17: keeps to its memory limit, still reads, and brings everything home when the device works again', async () => {
    for (let seed = 1; seed <= 5; seed++) {
      const { most, reads, writes } = await stalled(seed, false);
      assert.ok(most > LIMIT_BYTES / 2 && most <= LIMIT_BYTES, `${most} bytes of ${LIMIT_BYTES}`);
      assert.ok(reads > 100 && writes > 10, `${reads} sectors read, ${writes} writes answered`);
    }
  });

  it('INV-17 is seen to be broken when the limit counts for nothing', async () => {
    const { most } = await stalled(1, true);
    assert.ok(most > LIMIT_BYTES, `${most} bytes of ${LIMIT_BYTES}`);
  });
});
