import { createRandom } from '@mars/brick-core';
import { LoggerKit } from './logger.test.kit.js';
import { ModelRun, type Workload } from './model.test.kit.js';

const SEEDS = 40;

/** Every seed is another mixture: many overlaps or few, deep or shallow, slow devices or fast, tight memory or plenty. */
export function workloadOf(seed: number): {
  params: Record<string, unknown>;
  work: Workload;
  diskMs: number;
  logMs: number;
} {
  const random = createRandom(seed);
  const pick = <T>(...of: T[]): T => of[random.int(of.length)]!;
  return {
    params: {
      'memory-limit': pick('256K', '512K', '4M'),
      'record-bytes': pick(4096, 16384, 32256),
      'completion-semantics': pick(1, 1, 2),
      'unsynced-cap': pick('64K', '256K', '8M'),
      'sync-after': pick('1ms', '50ms', '2s'),
      'report-interval': pick('2ms', '50ms', '2s'),
      'writeback-parallel': pick(1, 4, 64),
      compression: pick('none', 'none', 'lz4'),
    },
    work: {
      seed,
      requests: 250,
      spanBytes: pick(16384, 131072, 262144),
      longestBytes: pick(512, 8192, 16384),
      depth: pick(1, 8, 32),
      reads: pick(0.2, 0.5),
      flushes: pick(0, 0.05, 0.2),
      fua: pick(0, 0.2, 1),
      zeroes: pick(0, 0.1),
      pauseMsMax: pick(0.1, 5, 100),
      rotateEvery: pick(0, 20, 70),
      crashEvery: 10,
    },
    diskMs: pick(0, 0.5, 30),
    logMs: pick(0, 0.5, 5),
  };
}

describe('TransLoggerBrick against a model', () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    it(`reads are fresh, crashes leave a prefix, and in the end everything is on the device (seed ${seed})`, async () => {
      const { params, work, diskMs, logMs } = workloadOf(seed);
      const kit = new LoggerKit(params);
      await kit.open();
      if (diskMs > 0) kit.disk.shuffleAnswers(seed, diskMs);
      if (logMs > 0) kit.log().shuffleAnswers(seed + 1, logMs);
      const run = new ModelRun(kit, work);
      await run.run();
      run.imagineCrash();
      await kit.settle(kit.graph.release('probe'));
      await kit.settle(kit.graph.release('logger'));
      run.checkEnd();
      await kit.close();
    });
  }
});
