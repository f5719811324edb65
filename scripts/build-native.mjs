#!/usr/bin/env node
// Builds native/ (the addon @mars/native) with node-gyp. Plain Node, so it runs before anything of ours is compiled.
//
// Exit status 0: built, up to date, or not possible here (no compiler, no headers): everything still works, on the thread pool.
// Exit status 1: the tools are there and the compile failed; that is a defect and must not look like a choice.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';

const root = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '..');
const nativeDir = path.join(root, 'native');
const built = path.join(nativeDir, 'build', 'Release', 'mars.node');
const packed = path.join(nativeDir, 'prebuilds', `${process.platform}-${process.arch}`, 'mars.node');
const force = process.argv.includes('--force');

/** Everything the binary depends on; newer than the binary means build. */
function sources() {
  const src = path.join(nativeDir, 'src');
  const files = fs.readdirSync(src).map((name) => path.join(src, name));
  return [...files, path.join(nativeDir, 'binding.gyp'), path.join(nativeDir, 'package.json')];
}

function isUpToDate() {
  if (force || !fs.existsSync(packed)) return false;
  const builtAt = fs.statSync(packed).mtimeMs;
  return sources().every((file) => fs.statSync(file).mtimeMs <= builtAt);
}

const runs = (command, ...args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0;

/** Asks the compiler itself, because headers may live in places of the distribution's own. */
function hasHeader(name) {
  const test = { input: `#include <${name}>\n`, stdio: ['pipe', 'ignore', 'ignore'] };
  return spawnSync(process.env.CXX ?? 'c++', ['-E', '-x', 'c++', '-'], test).status === 0;
}

/** What is missing, as Debian packages. liburing is listed apart: without it the rest is still worth building. */
function missingPackages() {
  const missing = [];
  if (!runs(process.env.CXX ?? 'c++', '--version')) missing.push('g++');
  if (!runs('make', '--version')) missing.push('make');
  if (!runs('python3', '--version')) missing.push('python3');
  if (!hasHeader('xxhash.h')) missing.push('libxxhash-dev');
  return missing;
}

/** node-gyp may be hoisted to the root or sit below native/; its own package says where the program is. */
function nodeGyp() {
  try {
    return createRequire(path.join(nativeDir, 'package.json')).resolve('node-gyp/bin/node-gyp.js');
  } catch {
    return null;
  }
}

function warnFallback(why, hint) {
  console.warn(`build-native: not built: ${why}.`);
  console.warn(`build-native: ${hint}`);
  console.warn('build-native: MARS will use the thread-pool fallback, which is correct but slower.');
  process.exit(0);
}

function compile(withRing) {
  const args = [nodeGyp(), 'rebuild', '--loglevel=error'];
  if (fs.existsSync('/usr/include/node/node_api.h')) args.push('--nodedir=/usr'); // no download of headers
  if (!withRing) args.push('--', '-Dmars_no_ring=1');
  return spawnSync(process.execPath, args, { cwd: nativeDir, stdio: ['ignore', 'inherit', 'inherit'] }).status === 0;
}

function install() {
  fs.mkdirSync(path.dirname(packed), { recursive: true });
  // Rename over the old one: a process that has it mapped keeps its own copy instead of crashing.
  fs.copyFileSync(built, `${packed}.new`);
  fs.renameSync(`${packed}.new`, packed);
  fs.utimesSync(packed, new Date(), new Date());
}

if (process.platform !== 'linux') warnFallback('io_uring exists on Linux only', 'Nothing to install.');
if (isUpToDate()) {
  console.log('build-native: up to date');
  process.exit(0);
}
const missing = missingPackages();
if (missing.length > 0) {
  const all = hasHeader('liburing.h') ? missing : [...missing, 'liburing-dev'];
  warnFallback(`${missing.join(', ')} missing`, `On Debian: apt-get install ${all.join(' ')}`);
}
if (!nodeGyp()) warnFallback('node-gyp is not installed', 'Run "npm install" with development dependencies first.');

const withRing = hasHeader('liburing.h');
if (!withRing) {
  console.warn(
    'build-native: liburing is missing; building everything but the ring. On Debian: apt-get install liburing-dev',
  );
}
const startedAt = process.hrtime.bigint();
const ok = compile(withRing);
const seconds = (Number(process.hrtime.bigint() - startedAt) / 1e9).toFixed(1);
if (!ok) {
  console.error(`build-native: the compile failed after ${seconds} s`);
  process.exit(1);
}
install();
console.log(
  `build-native: built ${path.relative(root, packed)} in ${seconds} s${withRing ? '' : ' (without the ring)'}`,
);
