import assert from 'node:assert/strict';
import { setVerify } from '@mars/brick-core';
import type { DiskOp, Fault, FaultRule } from '../disk/faults.js';
import { forEachNth } from '../scenario/sweep.js';
import { World } from '../world/world.js';
import { bareKeeper } from './bare-keeper.js';
import { playCrashStory } from './crash-story.js';

/** One seed for all N, so that the operations before the Nth are always the same. */
const SEED = 11;
/** Long enough for a rotation, writebacks and publications; short enough for hundreds of runs. The data device is used later. */
const LOG_LIFE_MS = 20;
const DATA_LIFE_MS = 80;

/** Plays a short life in which the Nth operation of this kind fails, a crash, and a recovery. @returns whether it was reached */
async function playNth(rule: FaultRule, onLogError: string): Promise<boolean> {
  const world = new World({ seed: SEED });
  let fault: Fault | null = null;
  try {
    await playCrashStory(world, {
      keeper: bareKeeper,
      crashes: 1,
      lifeMs: rule.path === 'vda' ? DATA_LIFE_MS : LOG_LIFE_MS,
      settings: (drawn) => {
        const quick = { 'report-interval': '1ms', 'writeback-maxage': '1ms', 'sync-after': '1ms' };
        Object.assign(drawn.logger, quick, { 'on-log-error': onLogError, 'completion-semantics': 1 });
        drawn.rotateBytes = 64 * 1024;
      },
      trouble: (host) => (fault = host.disk.fault(rule)),
    });
  } catch (error) {
    throw new Error(`operation ${rule.nth} of "${String(rule.on)}" on ${String(rule.path)} failed`, { cause: error });
  } finally {
    world.close();
  }
  return fault !== null && (fault as Fault).hits > 0;
}

describe('A logger whose Nth operation fails', function () {
  this.timeout(0);
  before(() => setVerify(true));
  after(() => setVerify(false));

  const kinds: readonly (readonly [DiskOp, string, Partial<FaultRule>, string])[] = [
    ['write', 'log-', { errno: 5 }, 'a write of the log'],
    ['write', 'log-', { errno: 28 }, 'a write of the log for which there is no space'],
    ['write', 'log-', { short: true }, 'a write of the log that is short'],
    ['sync', 'log-', { errno: 5, loses: true }, 'a sync of the log, and what it should have saved is lost'],
    ['write', 'vda', { errno: 5 }, 'a write of the data device'],
    ['sync', 'vda', { errno: 5, loses: true }, 'a sync of the data device, and what it should have saved is lost'],
    ['read', 'vda', { errno: 5 }, 'a read of the data device'],
  ];
  for (const [on, path, what, text] of kinds) {
    for (const onLogError of path === 'log-' ? ['hold', 'fail'] : ['hold']) {
      it(`keeps every promise, whichever N: ${text} (on-log-error: ${onLogError})`, async () => {
        const operations = await forEachNth((nth) => playNth({ on, path, nth, ...what }, onLogError));
        assert.ok(operations >= 3, `only ${operations} operations were there to fail`);
      });
    }
  }
});
