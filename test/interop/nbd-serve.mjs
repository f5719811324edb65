// An NBD server in a process of its own, for the interop tests and for measuring: if-nbd over one brick, from the built packages.
//
//   node test/interop/nbd-serve.mjs '{"listen":["/tmp/x.sock"]}' [--store '{"type":"ram","params":{"size":"1G"}}']
//        [--driver ring-thread|event-loop] [--ring io_uring|threads] [--spin-us N] [--arena BYTES] [--objects N]
//
// Says "ready ADDRESS…" when it serves, and stops in good order on SIGTERM.
import { parseArgs } from 'node:util';
import { BRICKS, Graph, composeServices, container, registerBricks } from '@mars/brick-core';
import { createPlatform } from '@mars/platform';
import { checkBricks } from '@mars/bricks-check';
import { ifBricks } from '@mars/bricks-if';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    store: { type: 'string', default: '{"type":"ram","params":{"size":"64M"}}' },
    driver: { type: 'string', default: 'event-loop' },
    ring: { type: 'string', default: 'auto' },
    'spin-us': { type: 'string', default: '0' },
    arena: { type: 'string', default: String(256 * 2 ** 20) },
    objects: { type: 'string', default: '2048' },
    tls: { type: 'boolean', default: false },
  },
});

const platform = createPlatform({
  arenaBytes: Number(values.arena),
  poolObjects: Number(values.objects),
  spinUs: Number(values['spin-us']),
  driver: values.driver,
  ring: values.ring,
  log: { level: process.env.NBD_SERVE_LOG ?? 'warn' },
});
const host = composeServices(container.createChildContainer(), platform);
registerBricks(host, checkBricks, '@mars/bricks-check');
registerBricks(host, ifBricks, '@mars/bricks-if');
try {
  const { ioBricks } = await import('@mars/bricks-io');
  if (ioBricks) registerBricks(host, ioBricks, '@mars/bricks-io');
} catch (error) {
  if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
}
const graph = new Graph({
  name: 'serve',
  loop: platform.loop,
  host,
  registry: host.resolve(BRICKS),
  log: platform.log,
});
const store = JSON.parse(values.store);
graph.add('store', store.type, store.params);
const fronts = positionals.map((text, i) => {
  const name = `if${i}`;
  graph.add(name, 'if-nbd', JSON.parse(text));
  graph.connect({ consumer: name, input: 'disk', nr: 0 }, 'store');
  return name;
});

process.on('SIGTERM', () => void stop());
for (const name of ['store', ...fronts]) await graph.press(name);
console.log('ready', ...fronts.map((name) => graph.get(name).stats.snapshot().facts?.listen ?? ''));

async function stop() {
  for (const name of [...fronts, 'store']) await graph.release(name);
  const stats = graph.status();
  for (const name of [...fronts, 'store']) await graph.destroy(name);
  const left = platform.loop.pool.outstanding().length;
  const arenaBytes = platform.loop.arena.usedBytes;
  if (process.env.NBD_SERVE_REPORT) console.log('report', JSON.stringify({ left, arenaBytes, stats }));
  await platform.close();
  process.exit(left === 0 ? 0 : 1);
}
