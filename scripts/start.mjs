// npm start: the main job, from nothing. For now a demo stack in RAM with a live view; the replication demo takes its place.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { bootstrap, main, root } from './steps.mjs';

main(async () => {
  await bootstrap(['build']);
  console.log(
    '\nRunning stacks/demo-ram.yaml: a verified load through filters into RAM. It ends by itself; Ctrl-C ends it earlier.\n',
  );
  const args = ['run', path.join(root, 'stacks/demo-ram.yaml'), ...process.argv.slice(2)];
  const child = spawn(path.join(root, 'node_modules/.bin/mars-stack'), args, { stdio: 'inherit' });
  // Ctrl-C reaches the child as well; it stops cleanly, and we end when it has.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  process.exitCode = await new Promise((resolve) =>
    child.on('close', (code, signal) => resolve(code ?? (signal ? 1 : 0))),
  );
});
