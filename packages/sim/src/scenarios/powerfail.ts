import { ErrorCode, MarsError, type Graph } from '@mars/brick-core';
import {
  defineScenario,
  noLeaks,
  registerSimBricks,
  startChain,
  stopGraph,
  type ChainLink,
  type World,
} from '../index.js';

const CUTS = 3;

/** A cache answers at once; without this the load would do a million requests per virtual second. */
const CACHE_TIME: ChainLink = ['delay', { read: '40us', write: '40us', flush: '60us', jitter: '60us' }];

/** Power of the imitated device goes and comes back while the load goes on. */
async function cutPower(world: World, graph: Graph): Promise<void> {
  const { random } = world;
  await world.advance(1 + random.float() * 10);
  graph.setParam('powerfail', 'cut', true);
  // Long enough that some request fails: nobody could know of a cut that no request has met.
  await world.advance(0.5 + random.float() * 3);
  graph.setParam('powerfail', 'restart', true);
}

/** The device of this scenario: memory, or a file of the simulated disk, which has its own ideas about time. */
function deviceOf(world: World): ChainLink {
  return world.random.int(2) === 0 ? ['ram', { size: '256K' }] : ['sim-file', { path: '/image', size: '256K' }];
}

export default defineScenario(
  'powerfail',
  'what was flushed or written with FUA survives every cut of the imitated power, over memory and over a file',
  { hosts: 1, seeds: 15 },
  async (world) => {
    const host = world.host('a');
    const { random } = world;
    registerSimBricks(host);
    const load = {
      depth: 1 + random.int(12),
      mix: '35r/55w/10f',
      sizes: { 512: 1, '4K': 3 },
      fua: 15,
      verify: true,
      afterCut: 'durable',
      cutRetry: '1ms',
      duration: '60ms',
      seed: random.int(1e6),
    };
    const power = { torn: random.float(), lose: random.int(4) === 0 ? 'all' : 'random', seed: random.int(1e6) };
    const graph = await world.drive(
      startChain(host, [['load', load], CACHE_TIME, ['powerfail', power], deviceOf(world)]),
    );
    for (let i = 0; i < CUTS; i++) await cutPower(world, graph);
    const { stats } = graph.get('load');
    await world.run({ until: () => stats.fact('finished') === true, maxVirtualMs: 10_000 });
    if (stats.fact('failed') === true) {
      throw new MarsError(ErrorCode.VERIFY_FAILED, `the load failed: ${String(stats.fact('failure'))}`, {
        hint: 'Play the seed again with --trace.',
      });
    }
    await world.drive(stopGraph(graph), { maxVirtualMs: 5000 });
    noLeaks(host);
  },
);
