import assert from 'node:assert/strict';
import { LOGGER_FAULTS, Replayer, type LoggerFaults } from '@mars/bricks-logger';
import { RecordDecoder, RecordEncoder } from '@mars/bricks-logger/log-format';
import { playOnce, scenarioByName } from '../scenario/scenario.js';
import '../scenarios/replay-crash.js';
import type { Keeper } from './keeper.js';
import { World } from '../world/world.js';
import { bareKeeper } from './bare-keeper.js';
import { playCrashStory } from './crash-story.js';
import { invariantOf } from './violation.js';

/** A mutation that nobody has noticed by then is not noticed. */
const MOST_SEEDS = 150;

/** Plays the story of crashes with a logger that is wrong. @returns invariant and seed that caught it */
async function caught(
  faults: LoggerFaults,
  keeper: Keeper = bareKeeper,
): Promise<{ inv: number | null; seed: number; text: string }> {
  for (let seed = 1; seed <= MOST_SEEDS; seed++) {
    const world = new World({ seed });
    try {
      await playCrashStory(world, {
        keeper,
        prepare: (host) => void host.container.register(LOGGER_FAULTS, { useValue: faults }),
      });
    } catch (error) {
      return { inv: invariantOf(error), seed, text: String(error) };
    } finally {
      world.close();
    }
  }
  return { inv: null, seed: MOST_SEEDS, text: 'nobody noticed' };
}

/** Replaces a method for a while. */
async function broken<T extends object>(
  target: T,
  method: string,
  by: unknown,
  test: () => Promise<void>,
): Promise<void> {
  const methods = target as Record<string, unknown>;
  const before = methods[method];
  assert.equal(typeof before, 'function', `there is no method ${method} to break`);
  methods[method] = by;
  try {
    await test();
  } finally {
    methods[method] = before;
  }
}

describe('Mutations of the logger', function () {
  this.timeout(0);

  const faults: readonly (readonly [keyof LoggerFaults, readonly number[], string])[] = [
    ['writebackBeforeDurable', [7], 'data goes to the device before its record is durable'],
    ['answerBeforeDurable', [1], 'FUA is answered before the record is durable'],
    ['flushAtOnce', [19], 'a flush is answered at once'],
    ['publishWithoutFlush', [4, 11], 'a position is published without a flush of the data device'],
    ['publishOverGaps', [4, 5], 'a position is published over a gap'],
    ['oldestWins', [8, 9], 'the older of two versions is written back'],
    ['readsIgnoreMemory', [9], 'reads come from the device although memory is newer'],
    ['reportNewLogEarly', [11], 'the next log is published before this one is written back'],
    ['flushCurrentLogOnly', [1, 19], 'a flush covers the current log only'],
  ];
  for (const [fault, expected, what] of faults) {
    it(`INV-${expected[0]} is seen to be broken when ${what}`, async () => {
      const { inv, text } = await caught({ [fault]: true });
      assert.ok(inv !== null && expected.includes(inv), `${fault}: ${text}`);
    });
  }

  it('INV-4 is seen to be broken when a replay publishes without a flush', async () => {
    const publishAtOnce = function (this: { flushingPos: number; at: number; publish: () => void }): void {
      this.flushingPos = this.at;
      this.publish();
    };
    await broken(Replayer.prototype, 'flush', publishAtOnce, async () => {
      const { inv, text } = await caught({});
      assert.ok(inv === 4 || inv === 11, text);
    });
  });

  it('INV-2 is seen to be broken when a replay skips records now and then', async () => {
    let count = 0;
    const take = (Replayer.prototype as unknown as { take: (r: object) => boolean }).take;
    const skipSome = function (this: object, r: { code: number }): boolean {
      if (++count % 7 === 0) r.code = 2;
      return take.call(this, r);
    };
    await broken(Replayer.prototype, 'take', skipSome, async () => {
      const { inv, text } = await caught({});
      assert.ok(inv !== null && [1, 2, 4, 11].includes(inv), text);
    });
  });

  it('INV-6 is seen to be broken when a keeper publishes an old position again', async () => {
    const forgetful: Keeper = async (host, settings, client) => {
      const running = await bareKeeper(host, settings, client);
      const { logs } = settings.places;
      host.loop.after(8, null, () => {
        host.files.symlink('log-000000001-a,0,0', `${logs}/.tmp-old-${host.starts}`);
        host.files.rename(`${logs}/.tmp-old-${host.starts}`, `${logs}/replay-a`);
      });
      return running;
    };
    const { inv, text } = await caught({}, forgetful);
    assert.equal(inv, 6, text);
  });

  it('INV-10 is seen to be broken when a sequence number is left out', async () => {
    const { encode } = RecordEncoder.prototype;
    const skipping: typeof encode = function (this: RecordEncoder, ...args) {
      const meta = args[3];
      if (meta.seq === 5) meta.seq = 6;
      return encode.apply(this, args);
    };
    await broken(RecordEncoder.prototype, 'encode', skipping, async () => {
      const { inv, text } = await caught({});
      assert.equal(inv, 10, text);
    });
  });

  it('INV-12 is seen to be broken when a replay has overlapping writes under way', async () => {
    const open = (Replayer.prototype as unknown as { open: (plan: object) => boolean }).open;
    type Opened = { applier: { writes: { overlaps: () => boolean } } };
    const careless = function (this: Opened, plan: object): boolean {
      const isOpen = open.call(this, plan);
      if (isOpen) this.applier.writes.overlaps = () => false;
      return isOpen;
    };
    await broken(Replayer.prototype, 'open', careless, async () => {
      let error: unknown = null;
      for (let seed = 1; seed <= MOST_SEEDS && error === null; seed++)
        ({ error } = await playOnce(scenarioByName('replay-crash'), seed));
      assert.ok([3, 4, 12].includes(invariantOf(error) ?? 0), String(error));
    });
  });

  it('INV-13 is seen to be broken when torn records are applied', async () => {
    await broken(
      RecordDecoder.prototype,
      'checksum',
      () => 0,
      async () => {
        const { inv, text } = await caught({});
        assert.ok(inv !== null && [2, 13].includes(inv), text);
      },
    );
  });
});
