// npm test: everything that CI checks, quick parts first. `node scripts/test.mjs unit sim` runs only the named rings.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { bootstrap, main, run } from './steps.mjs';

/** The rings, inner first (style.md 11). `files` are compiled tests; `command` is anything else. */
const RINGS = [
  { name: 'lint', about: 'eslint and prettier', command: ['npm', ['run', '-s', 'lint']] },
  { name: 'layers', about: 'who may import whom', command: ['npm', ['run', '-s', 'check:layers']] },
  {
    name: 'unit',
    about: 'unit tests and brick conformance',
    // Both cores: the suites share nothing but the machine.
    files: [
      '--parallel',
      '--jobs',
      '2',
      '--ignore',
      'packages/*/dist/**/*.outer.test.js',
      'packages/*/dist/**/*.test.js',
    ],
  },
  { name: 'cli', about: 'commands as a person runs them', files: ['packages/*/dist/**/*.outer.test.js'] },
  { name: 'native', about: 'the addon by itself', files: ['native/test/*.test.mjs'] },
  { name: 'machine', about: 'bricks on the real and the simulated machine', files: ['test/machine/*.test.mjs'] },
  { name: 'wire', about: 'channels and trust: real TLS, seeded networks, fuzzing', files: ['test/wire/*.test.mjs'] },
  { name: 'tree', about: 'the tree of facts on real links and in the seeded world', files: ['test/tree/*.test.mjs'] },
  {
    name: 'sim',
    about: 'seeded simulations: 20 seeds of each scenario, twice',
    command: ['node', ['scripts/sim.mjs', '--seeds', '20', '--twice']],
  },
  {
    name: 'logger',
    about: 'the logger dies at any moment, in the seeded world',
    files: ['test/sim/dist/**/*.test.js'],
  },
  { name: 'crash', about: 'kill -9 and damaged files, with real processes', files: ['test/crash/*.test.mjs'] },
  { name: 'host', about: 'hosts in namespaces of their own', files: ['test/host/*.test.mjs'] },
  { name: 'interop', about: 'programs that we did not write', files: ['test/interop/*.test.mjs'] },
  { name: 'memory', about: 'the addon under AddressSanitizer and valgrind', files: ['test/memory/*.test.mjs'] },
  { name: 'package', about: 'packed packages, installed elsewhere', files: ['test/package/*.test.mjs'] },
];

const asked = process.argv.slice(2);

main(async () => {
  const unknown = asked.find((name) => !RINGS.some((ring) => ring.name === name));
  if (unknown)
    throw new Error(`there is no test ring "${unknown}"; known: ${RINGS.map((ring) => ring.name).join(', ')}`);
  const quick = asked.length > 0 && asked.every((name) => ['lint', 'layers', 'unit', 'sim'].includes(name));
  await bootstrap(quick ? ['build'] : ['build', 'interop', 'hosts', 'memory']);
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const ring of RINGS.filter((r) => asked.length === 0 || asked.includes(r.name))) {
    const counts = runRing(ring);
    for (const key of Object.keys(total)) total[key] += counts[key];
    // A broken inner ring makes the outer ones meaningless, and they cost minutes.
    if (counts.failed > 0) break;
  }
  console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  if (total.failed > 0) process.exitCode = 1;
});

function runRing(ring) {
  const started = process.hrtime.bigint();
  console.log(`\n── ${ring.name}: ${ring.about}`);
  const counts = ring.files ? runMocha(ring) : runCommand(ring);
  const seconds = (Number(process.hrtime.bigint() - started) / 1e9).toFixed(1);
  console.log(
    `   ${ring.name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped in ${seconds} s`,
  );
  return counts;
}

function runCommand({ command: [program, args] }) {
  const failed = run(program, args, { show: true, allowFail: true }).status === 0 ? 0 : 1;
  return { passed: 1 - failed, failed, skipped: 0 };
}

function runMocha(ring) {
  const scratch = mkdtempSync(path.join(tmpdir(), 'mars-test-'));
  const report = path.join(scratch, 'counts.json');
  try {
    const { status } = run(
      'npx',
      ['--no-install', 'mocha', '--reporter', 'scripts/mocha-reporter.cjs', ...ring.files],
      {
        show: true,
        allowFail: true,
        env: { MARS_TEST_COUNTS: report },
      },
    );
    if (!existsSync(report)) {
      // Mocha ends with an error of its own when a pattern matches nothing.
      console.log(`   ${ring.name}: the test runner ended without a report (exit ${status})`);
      return { passed: 0, failed: 1, skipped: 0 };
    }
    const counts = JSON.parse(readFileSync(report, 'utf8'));
    // A test file that throws outside a test, or leaves a failing hook, must not pass for success.
    return status !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
