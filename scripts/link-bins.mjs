// Puts the executables of all packages into node_modules/.bin, executable. npm does this at install time, but then the
// compiled files are not there yet.
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { root } from './steps.mjs';

const bin = path.join(root, 'node_modules/.bin');
mkdirSync(bin, { recursive: true });
for (const name of readdirSync(path.join(root, 'packages'))) {
  const home = path.join(root, 'packages', name);
  if (!existsSync(path.join(home, 'package.json'))) continue;
  const { bin: bins = {} } = JSON.parse(readFileSync(path.join(home, 'package.json'), 'utf8'));
  for (const [command, file] of Object.entries(bins)) {
    const target = path.join(home, file);
    if (!existsSync(target))
      throw new Error(`packages/${name}: ${file}, named as the executable "${command}", was not built`);
    chmodSync(target, 0o755);
    const link = path.join(bin, command);
    rmSync(link, { force: true });
    symlinkSync(path.relative(bin, target), link);
  }
}
