// `kill -9` of a stack with a log under verified load, as often as wanted: node test/crash/kill9.mjs [--rounds 200] [--seed N]
import { KilledStack } from './kill9.kit.mjs';

const argument = (name, otherwise) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? otherwise : Number(process.argv[at + 1]);
};
const rounds = argument('--rounds', 200);
const seed = argument('--seed', Math.floor(performance.timeOrigin) % 1e6);
const stack = new KilledStack(seed);
let failure = null;
try {
  for (let round = 1; round <= rounds; round++) {
    await stack.round();
    if (round % 10 === 0) console.error(`round ${round} of ${rounds}: ${JSON.stringify(stack.summary)}`);
  }
  await stack.end();
} catch (error) {
  failure = error;
}
await stack.cleanUp({ keepFiles: failure !== null });
console.log(JSON.stringify({ seed, rounds, ...stack.summary, ok: failure === null }));
if (failure !== null) {
  console.error(failure);
  console.error(`files are left in ${stack.dir}; again: node test/crash/kill9.mjs --rounds ${rounds} --seed ${seed}`);
  process.exitCode = 1;
}
