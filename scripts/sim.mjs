// Plays scenarios of the seeded world: `npm run sim -- --list`, `npm run sim -- --seed 7 --scenario powerfail`.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const sim = join(root, 'packages/sim/dist');
if (!existsSync(join(sim, 'cli.js'))) {
  console.error('The simulator is not built. Run "npm run build:ts" first.');
  process.exit(2);
}

process.env.MARS_COMMIT ??= commit();
for (const file of scenarioFiles()) await import(pathToFileURL(file).href);
const { runSimCli } = await import(pathToFileURL(join(sim, 'cli.js')).href);
process.exitCode = await runSimCli(process.argv.slice(2), {
  out: (line) => console.log(line),
  err: (line) => console.error(line),
  writeFile: (path, text) => writeFileSync(path, text),
  nowMs: () => performance.now(),
});

/** Scenarios of the simulator itself, of the tree, and those of `test/sim`, where whole clusters are played. */
function scenarioFiles() {
  const found = [];
  for (const dir of [
    join(sim, 'scenarios'),
    join(root, 'test/tree'),
    join(root, 'test/sim/dist'),
    join(root, 'test/sim'),
  ]) {
    if (!existsSync(dir) || !statSync(dir).isDirectory()) continue;
    const names = readdirSync(dir).sort();
    found.push(...names.filter((name) => /^[^.]+(\.scenario)?\.m?js$/.test(name)).map((name) => join(dir, name)));
  }
  return found;
}

function commit() {
  try {
    const git = (...args) =>
      execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    return (
      git('rev-parse', '--short=12', 'HEAD') +
      (git('status', '--porcelain', '--untracked-files=no') === '' ? '' : ' + local changes')
    );
  } catch {
    return 'unknown';
  }
}
