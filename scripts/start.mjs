// npm start: the main job, from nothing: three hosts, one replicated disk, and what can happen to it. `npm start -- --help`.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { bootstrap, main, root } from './steps.mjs';

const args = process.argv.slice(2);

main(async () => {
  await bootstrap(['build', 'hosts', 'interop']);
  // Loaded when everything is installed and built.
  const { demo, whyNoDemo } = await import('./demo/main.mjs');
  const why = args.includes('--ram') ? 'asked for with --ram' : whyNoDemo();
  if (args.includes('--help') || why === '') return demo(args);
  console.log(`\nNo three hosts here: ${why}.`);
  await ram();
});

/** What needs neither root nor namespaces: a stack of bricks in memory, with a live view. */
async function ram() {
  console.log(
    'Running stacks/demo-ram.yaml: a verified load through filters into RAM. It ends by itself; Ctrl-C ends it earlier.\n',
  );
  const rest = args.filter((arg) => arg !== '--ram');
  const child = spawn(
    path.join(root, 'node_modules/.bin/mars-stack'),
    ['run', path.join(root, 'stacks/demo-ram.yaml'), ...rest],
    {
      stdio: 'inherit',
    },
  );
  // Ctrl-C reaches the child as well; it stops cleanly, and we end when it has.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  process.exitCode = await new Promise((resolve) =>
    child.on('close', (code, signal) => resolve(code ?? (signal ? 1 : 0))),
  );
}
