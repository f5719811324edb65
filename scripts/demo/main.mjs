// Runs the demo: --input DIR (default: this project), --keep leaves the cluster up, --help.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { whyNoHosts } from '../../test/host/hosts.mjs';
import { Demo } from './cluster.mjs';
import { dim } from './screen.mjs';

const HELP = `npm start [-- OPTIONS]

Three hosts on this machine, one replicated disk with your files: replication, a cut network, handover, a dead primary, a forced
switch, a split brain and its end. Ends by itself with a summary; nothing is left behind.

  --input DIR   files to replicate (default: this project)
  --keep        leave the cluster up at the end, and say how to use it
  --ram         the small demo instead: a verified load on a disk in memory (needs no root)
  --help
`;

export async function demo(args) {
  const { values } = parseArgs({
    args,
    options: {
      input: { type: 'string' },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return void console.log(HELP);
  const input = path.resolve(values.input ?? path.join(import.meta.dirname, '../..'));
  const demo = await Demo.make(input);
  let isGood = false;
  const stop = () => void demo.close().then(() => process.exit(1));
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  try {
    isGood = await demo.run();
    if (values.keep) await stay(demo);
  } catch (error) {
    console.error(`\n${error instanceof Error ? error.message : String(error)}`);
    for (const host of demo.hosts.all)
      console.error(dim(`--- ${host.name}: ${host.log().split('\n').slice(-6).join('\n')}`));
  } finally {
    await demo.close();
  }
  process.exitCode = isGood ? 0 : 1;
}

/** Why the demo cannot run here; empty when it can. */
export const whyNoDemo = whyNoHosts;

async function stay(demo) {
  console.log('\nThe cluster stays until you press Ctrl-C. In another terminal, as root:');
  for (const host of demo.hosts.all) {
    const env = ['MARS_DIR', 'MARS_RUN', 'MARS_HOST'].map((name) => `${name}=${host.env[name]}`).join(' ');
    console.log(`  ${host.name}: nsenter -t ${host.pid} -m -n -u -p -- env ${env} marsadm view all`);
  }
  await new Promise(() => {});
}
