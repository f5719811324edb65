// npm run bench -- NAME …: runs benches and writes bench/results/NAME.json and NAME.md.
// With --check it fails when a ratio is more than 25 % worse than in the results that were there before.
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { bootstrap, main, root } from './steps.mjs';

const known = readdirSync(path.join(root, 'bench'))
  .filter((file) => file.endsWith('.bench.mjs'))
  .map((file) => file.replace('.bench.mjs', ''));

main(async () => {
  const names = process.argv.slice(2).filter((arg) => !arg.startsWith('-'));
  const unknown = names.find((name) => !known.includes(name));
  if (names.length === 0 || unknown) {
    const problem = unknown ? `there is no bench "${unknown}"` : 'name at least one bench';
    throw new Error(`${problem}. Known: ${known.join(', ')}. Example: npm run bench -- ${known[0] ?? 'core'}`);
  }
  await bootstrap(['build', 'interop']);
  for (const name of names) {
    console.log(`\n── bench ${name}`);
    const bench = await import(pathToFileURL(path.join(root, 'bench', `${name}.bench.mjs`)).href);
    const worse = (await bench.default()) ?? [];
    if (worse.length > 0 && process.argv.includes('--check')) process.exitCode = 1;
  }
});
