import assert from 'node:assert/strict';
import { LOGGER_FAULTS, type LoggerFaults } from '@mars/bricks-logger';
import type { SimHost } from '../world/host.js';
import { World } from '../world/world.js';
import { bareKeeper } from './bare-keeper.js';
import { DiskWatch, logName } from './disk-watch.js';
import type { JudgedClient } from './if-judged.js';
import type { LoggerSettings, RunningLogger } from './keeper.js';
import { invariantOf } from './violation.js';

const DEVICE_BYTES = 256 * 1024;
const PLACES = { logs: '/mars/resource-r', data: '/dev/vda', host: 'a' };

/** A logged device under load whose log is about to take nothing any more. */
class Emergency {
  readonly world: World;
  readonly host: SimHost;
  readonly watch: DiskWatch;
  running!: RunningLogger;

  constructor(
    seed: number,
    private readonly onLogError: string,
    faults: LoggerFaults = {},
  ) {
    this.world = new World({ seed });
    this.host = this.world.addHost('a');
    this.host.container.register(LOGGER_FAULTS, { useValue: faults });
    this.host.disk.addDevice('vda', DEVICE_BYTES);
    this.host.files.makeDir(PLACES.logs, { recursive: true });
    this.watch = new DiskWatch(this.host, PLACES, DEVICE_BYTES);
  }

  async begin(): Promise<void> {
    const { world, host, watch } = this;
    const client: JudgedClient = { judge: watch.judge, needsSurvey: true, onWrong: (error) => world.fail(error) };
    const settings: LoggerSettings = {
      places: PLACES,
      deviceBytes: DEVICE_BYTES,
      logger: { 'on-log-error': this.onLogError, 'sync-after': '1ms' },
      client: { depth: 8, pause: 0, errors: this.onLogError === 'fail', seed: world.seed },
      rotateBytes: 0,
      mayFail: true,
    };
    host.run(async () => {
      this.running = await bareKeeper(host, settings, client);
    });
    await world.run({ until: () => this.running !== undefined && !client.needsSurvey, maxVirtualMs: 10_000 });
    await world.advance(5);
    host.disk.fault({ on: 'write', path: 'log-', errno: 28 });
  }

  async until(state: string): Promise<void> {
    await this.world.run({ until: () => this.running.loggerFact('state') === state, maxVirtualMs: 60_000 });
  }

  get answers(): number {
    return this.watch.judge.counts.answers;
  }
}

describe('A logger whose log is full for good', function () {
  this.timeout(0);

  it('INV-18: answers nothing that is not logged, until somebody has left a hole; then the device goes on without a log', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const emergency = new Emergency(seed, 'bypass');
      const { world, host, watch } = emergency;
      await emergency.begin();
      await emergency.until('bypass-waiting');
      const before = emergency.answers;
      await world.advance(500);
      assert.equal(emergency.answers, before, 'a write was answered although no log takes it');
      // The hole of transaction-log.md 2.8: an empty file with serial max + 11.
      const file = await world.drive(
        host.files.open(`${PLACES.logs}/${logName(12, 'a')}`, { write: true, create: true }),
      );
      await world.drive(host.files.close(file));
      watch.judge.bypassed();
      emergency.running.setLoggerParam('bypass-allowed', true);
      await emergency.until('bypass');
      await world.advance(50);
      assert.ok(emergency.answers > before + 20, `${emergency.answers - before} writes were answered in 50 ms`);
      await world.drive(emergency.running.stop(), { maxVirtualMs: 60_000 });
      world.close();
    }
  });

  it('INV-18 is seen to be broken by a bypass without a hole', async () => {
    const emergency = new Emergency(1, 'bypass');
    await emergency.begin();
    emergency.running.setLoggerParam('bypass-allowed', true);
    await assert.rejects(
      emergency.until('bypass').then(() => emergency.world.advance(50)),
      isBroken,
    );
    emergency.world.close();
  });

  it('INV-18 is seen to be broken when failed writes are answered all the same', async () => {
    const emergency = new Emergency(1, 'hold', { answerFailedWrites: true });
    await emergency.begin();
    await assert.rejects(emergency.world.advance(5000), isBroken);
    emergency.world.close();
  });
});

function isBroken(error: unknown): boolean {
  return [7, 18].includes(invariantOf(error) ?? 0);
}
