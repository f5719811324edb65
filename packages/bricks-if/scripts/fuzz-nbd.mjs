// Hostile NBD clients against the pure parts and against a server over sockets in memory.
//   node packages/bricks-if/scripts/fuzz-nbd.mjs [--seed N] [--count N] [--first N]
// The same seed gives the same inputs; --first and --count replay some of them.
import { parseArgs } from 'node:util';
import { fuzzServer } from '../dist/testing/fuzz.test.kit.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '100000' },
    first: { type: 'string', default: '0' },
  },
});
const [seed, count, first] = [values.seed, values.count, values.first].map(Number);

let current = first;
const startMs = performance.now();
const heapBytes = () => {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
};
let firstHeap = 0;
try {
  const result = await fuzzServer({ seed, count, first }, (index) => {
    current = index;
    const done = index - first;
    if (done === 20_000) firstHeap = heapBytes();
    if (done % 100_000 === 0 && done > 0) {
      const seconds = (performance.now() - startMs) / 1000;
      console.log(`${done} inputs, ${Math.round(done / seconds)}/s, heap ${(heapBytes() / 2 ** 20).toFixed(1)} MiB`);
    }
  });
  const grownMiB = firstHeap === 0 ? 0 : (heapBytes() - firstHeap) / 2 ** 20;
  console.log(JSON.stringify({ seed, ...result, seconds: Math.round((performance.now() - startMs) / 1000), grownMiB }));
} catch (error) {
  console.error(`seed ${seed}, input ${current}:`, error);
  console.error(
    `replay: node packages/bricks-if/scripts/fuzz-nbd.mjs --seed ${seed} --first ${Math.floor(current / 100) * 100} --count 100`,
  );
  process.exit(1);
}
