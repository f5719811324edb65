// Runs test/stress.mjs under AddressSanitizer + UndefinedBehaviorSanitizer, or under valgrind.
//   node scripts/sanitize.mjs asan|valgrind [rounds] [seed]
// Exit status: 0 all well, 77 a tool is missing (stderr says which), anything else is a finding.
// Only the addon is instrumented (build-asan/mars.node); Node itself is not, so the sanitizer's runtime is preloaded.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(path.join(root, 'package.json'));
const [mode, rounds, seed = '1'] = process.argv.slice(2);
const outDir = path.join(root, 'build-asan');
const cxx = process.env.CXX ?? 'c++';

const MISSING = 77;

/** Asks for each tool by using it, because they may live in places of the distribution's own. */
function need(debianPackage, command, args, input = '') {
  if (spawnSync(command, args, { input, stdio: ['pipe', 'ignore', 'ignore'] }).status === 0) return;
  console.error(`missing: ${debianPackage} (on Debian: apt-get install ${debianPackage})`);
  process.exit(MISSING);
}

function run(command, args, env = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
  if (result.status !== 0) process.exit(result.status ?? 1);
}

function nodeHeaders() {
  const places = ['/usr/include/node', path.join(path.dirname(process.execPath), '..', 'include', 'node')];
  const found = places.find((place) => fs.existsSync(path.join(place, 'node_api.h')));
  if (found) return found;
  console.error('missing: the headers of Node, node_api.h (on Debian: apt-get install libnode-dev)');
  return process.exit(MISSING);
}

/** node-gyp knows one build directory only, so this build calls the compiler itself; the flags follow binding.gyp. */
function build(name, extra) {
  fs.mkdirSync(outDir, { recursive: true });
  const out = path.join(outDir, name);
  if (isUpToDate(out)) return out;
  const sources = fs
    .readdirSync(path.join(root, 'src'))
    .filter((file) => file.endsWith('.cc') && file !== 'no_ring.cc');
  run(cxx, [
    ...[
      '-std=gnu++17',
      '-g',
      '-fPIC',
      '-shared',
      '-fvisibility=hidden',
      '-fno-omit-frame-pointer',
      '-Wall',
      '-Wextra',
      '-Wno-missing-field-initializers',
    ],
    ...['-DNAPI_VERSION=8', '-DNAPI_CPP_EXCEPTIONS', '-DBUILDING_NODE_EXTENSION', '-DNODE_GYP_MODULE_NAME=mars'],
    ...[`-I${nodeHeaders()}`, `-I${path.dirname(require.resolve('node-addon-api'))}`],
    ...extra,
    ...sources.map((file) => path.join('src', file)),
    ...['-l:liburing.a', '-o', out],
  ]);
  return out;
}

function isUpToDate(out) {
  if (!fs.existsSync(out)) return false;
  const builtAt = fs.statSync(out).mtimeMs;
  const inputs = fs.readdirSync(path.join(root, 'src')).map((file) => path.join(root, 'src', file));
  return [...inputs, fileURLToPath(import.meta.url)].every((file) => fs.statSync(file).mtimeMs <= builtAt);
}

const ask = (...args) => spawnSync(cxx, args, { encoding: 'utf8' }).stdout.trim();

function asan() {
  need('g++', cxx, ['-fsanitize=address,undefined', '-shared', '-x', 'c++', '-', '-o', '/dev/null']);
  const binary = build('mars.node', ['-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined']);
  // Node frees little at its end and is not ours to judge: leaks are looked for by valgrind's run, filtered to our own frames.
  run(process.execPath, ['--expose-gc', 'test/stress.mjs', rounds ?? '150', seed], {
    MARS_NATIVE_BINARY: binary,
    LD_PRELOAD: [
      ask('-print-file-name=libasan.so'),
      ask('-print-file-name=libubsan.so'),
      ask('-print-file-name=libstdc++.so'),
    ].join(' '),
    ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1:detect_stack_use_after_return=1',
    UBSAN_OPTIONS: 'print_stacktrace=1',
  });
}

/** Valgrind knows neither AVX-512 nor what the JIT does, so: no JIT, and errors of Node itself are suppressed. */
function valgrind() {
  need('valgrind', 'valgrind', ['--version']);
  const binary = build('mars-valgrind.node', ['-O1']);
  const args = [
    '--error-exitcode=99',
    '--suppressions=scripts/node.supp',
    '--num-callers=30',
    '--soname-synonyms=somalloc=nouserintercepts',
  ];
  const leaks = ['--leak-check=full', '--show-leak-kinds=definite', '--errors-for-leak-kinds=definite'];
  const node = [
    process.execPath,
    '--jitless',
    '--no-opt',
    '--single-threaded',
    '--expose-gc',
    'test/stress.mjs',
    rounds ?? '8',
    seed,
  ];
  run('valgrind', [...args, ...leaks, ...node], { MARS_NATIVE_BINARY: binary, MARS_STRESS_NO_THREADS: '1' });
}

if (mode === 'asan' || mode === 'valgrind') {
  need('g++', cxx, ['--version']);
  for (const [name, header] of [
    ['liburing-dev', 'liburing.h'],
    ['libxxhash-dev', 'xxhash.h'],
  ])
    need(name, cxx, ['-E', '-x', 'c++', '-'], `#include <${header}>\n`);
}
if (mode === 'asan') asan();
else if (mode === 'valgrind') valgrind();
else {
  console.error('usage: sanitize.mjs asan|valgrind [rounds] [seed]');
  process.exit(2);
}
