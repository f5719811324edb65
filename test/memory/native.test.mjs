// The addon is the only code of ours that could write where it must not: a walk through all it does, abuse included, under tools that see it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const SANITIZE = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../native/scripts/sanitize.mjs');
const MISSING = 77;

/** Rounds take some 20 s of each on a quiet machine, the first build 10 s. Longer ones: npm run asan -w native, npm run valgrind -w native. */
const RUNS = [
  { tool: 'asan', rounds: 25, title: 'AddressSanitizer and UndefinedBehaviorSanitizer find nothing' },
  { tool: 'valgrind', rounds: 3, title: 'valgrind finds nothing, no leak either' },
];

describe('the native addon', function () {
  this.timeout(300_000);

  for (const { tool, rounds, title } of RUNS) {
    it(title, function () {
      // Another walk every day, and the same one all day long.
      const seed = String(1 + Math.floor(Date.now() / 86_400_000));
      const { status, stdout, stderr } = spawnSync(process.execPath, [SANITIZE, tool, String(rounds), seed], {
        encoding: 'utf8',
        maxBuffer: 1 << 26,
      });
      if (status === MISSING) {
        console.log(`    skipped: ${stderr.trim()}`);
        return this.skip();
      }
      assert.equal(status, 0, `node native/scripts/sanitize.mjs ${tool} ${rounds} ${seed}\n${stdout}\n${stderr}`);
      assert.match(stdout, /all as it must be/);
    });
  }
});
