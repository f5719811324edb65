// What a fresh machine needs, as steps: each is skipped when it is done already, and says how long it took.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const isRoot = process.getuid?.() === 0;

/** Debian packages by what they are for. */
const DEBIAN = {
  build: ['g++', 'make', 'python3', 'liburing-dev', 'libxxhash-dev'],
  interop: ['fio', 'nbdkit', 'libnbd-bin', 'qemu-utils', 'e2fsprogs', 'openssl'],
  memory: ['valgrind'],
  hosts: ['iproute2', 'nftables', 'util-linux', 'fuse3'],
};

const dim = (text) => (process.stdout.isTTY && !process.env.NO_COLOR ? `\u001b[2m${text}\u001b[0m` : text);

/** Runs one step and prints one line about it. `isDone` → skipped. A step that throws ends the program with its message. */
export async function step(title, isDone, run) {
  const started = process.hrtime.bigint();
  if (isDone()) return console.log(dim(`✓ ${title}: already there`));
  process.stdout.write(`… ${title}\n`);
  const note = await run();
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  console.log(`✓ ${title}${note ? ` (${note})` : ''} ${dim(`${seconds.toFixed(1)} s`)}`);
}

/** Runs a program; its output is shown only when it fails (or with `show`). */
export function run(command, args, { show = false, env = {}, allowFail = false } = {}) {
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: show ? 'inherit' : 'pipe',
    encoding: 'utf8',
    env: { ...process.env, ...env },
    maxBuffer: 64 * 2 ** 20,
  });
  if (result.status === 0 || allowFail) return result;
  const output = show ? '' : `\n${result.stdout ?? ''}${result.stderr ?? ''}`;
  throw new Error(
    `"${command} ${args.join(' ')}" failed${result.error ? `: ${result.error.message}` : ` (exit ${result.status})`}${output}`,
  );
}

const installed = (name) =>
  spawnSync('dpkg-query', ['-W', '-f=${Status}', name], { encoding: 'utf8' }).stdout?.endsWith('install ok installed');

/** Installs missing Debian packages when root; otherwise says exactly what to install, and goes on with what works. */
async function debianPackages(groups) {
  const wanted = groups.flatMap((group) => DEBIAN[group]);
  if (spawnSync('dpkg-query', ['--version']).status !== 0) {
    return console.log(
      `! This is no Debian machine. Needed, by their Debian names: ${wanted.join(' ')}. Going on with what is there.`,
    );
  }
  const missing = wanted.filter((name) => !installed(name));
  const title = `Debian packages (${groups.join(', ')})`;
  if (missing.length > 0 && !isRoot) {
    console.log(`! ${title}: not root, so please run:  sudo apt-get install ${missing.join(' ')}`);
    return console.log('  Going on with what works without them.');
  }
  await step(
    title,
    () => missing.length === 0,
    () => {
      run('apt-get', ['update', '-qq'], { allowFail: true });
      const result = run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing], {
        env: { DEBIAN_FRONTEND: 'noninteractive' },
        allowFail: true,
      });
      if (result.status === 0) return missing.join(' ');
      console.log(
        `! apt-get could not install ${missing.join(' ')}:\n${result.stderr.trim().split('\n').slice(-3).join('\n')}`,
      );
      return 'going on without them';
    },
  );
}

/** True when what is installed is what the lock file names. */
function nodeModulesFit() {
  const hidden = path.join(root, 'node_modules/.package-lock.json');
  if (!existsSync(hidden)) return false;
  const have = JSON.parse(readFileSync(hidden, 'utf8')).packages;
  const want = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')).packages;
  return Object.entries(want).every(([where, entry]) => {
    if (where === '' || entry.optional || entry.link || !where.includes('node_modules/')) return true;
    return have[where]?.version === entry.version;
  });
}

/** Everything before the first line of MARS can run. */
export async function bootstrap(groups = ['build']) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new Error(`Node ${process.versions.node} is too old: MARS needs Node 20.19 or newer.`);
  }
  await debianPackages(groups);
  await step('npm packages', nodeModulesFit, () => void run('npm', ['ci', '--no-audit', '--no-fund']));
  await step(
    'native addon',
    () => false,
    () => lastLine(run('node', ['scripts/build-native.mjs'])),
  );
  await step(
    'TypeScript',
    () => false,
    () => {
      run('npx', ['--no-install', 'tsc', '-b']);
      run('node', ['scripts/link-bins.mjs']);
    },
  );
}

function lastLine(result) {
  return result.stdout.trim().split('\n').at(-1);
}

/** Ends the program with a plain message instead of a stack trace. */
export function main(job) {
  job().catch((error) => {
    console.error(`\n✗ ${error.message}`);
    process.exit(1);
  });
}
