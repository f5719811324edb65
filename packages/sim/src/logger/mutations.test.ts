import assert from 'node:assert/strict';
import { LOGGER_FAULTS, Replayer, type LoggerFaults } from '@mars/bricks-logger';
import { World } from '../world/world.js';
import { bareKeeper } from './bare-keeper.js';
import { playCrashStory } from './crash-story.js';
import { invariantOf } from './violation.js';

/** A mutation that nobody has noticed by then is not noticed. */
const MOST_SEEDS = 150;

/** Plays the story of crashes with a logger that is wrong. @returns invariant and seed that caught it */
async function caught(faults: LoggerFaults): Promise<{ inv: number | null; seed: number; text: string }> {
  for (let seed = 1; seed <= MOST_SEEDS; seed++) {
    const world = new World({ seed });
    try {
      await playCrashStory(world, {
        keeper: bareKeeper,
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
});
