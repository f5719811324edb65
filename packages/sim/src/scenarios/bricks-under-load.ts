import { ErrorCode, MarsError, type Graph, type SeededRandom } from '@mars/brick-core';
import {
  defineScenario,
  noLeaks,
  registerSimBricks,
  startChain,
  stopGraph,
  type ChainLink,
  type SimHost,
  type World,
} from '../index.js';

/** Filters that change nothing but time; any number of them may stand above each other. */
const FILTERS: readonly ((random: SeededRandom) => ChainLink)[] = [
  (random) => [
    'delay',
    { read: us(random, 300), write: us(random, 300), jitter: us(random, 500), seed: random.int(1e6) },
  ],
  () => ['dummy'],
  // Fails nothing, but is armed and disarmed while requests pass.
  (random) => ['error', { seed: random.int(1e6), armed: random.int(2) === 0 }],
];

const MAX_FILTERS = 6;

/** Memory answers at once; without this a whole run would fit into one tick, and nothing could be changed under way. */
const DISK_TIME: ChainLink = ['delay', { read: '80us', write: '120us', flush: '200us', jitter: '100us' }];

function us(random: SeededRandom, below: number): string {
  return `${random.int(below)}us`;
}

/** Inserts a filter somewhere, takes one out, or wires a provider anew, while the load goes on. */
async function changeSomething(world: World, graph: Graph, nr: number): Promise<void> {
  const { random } = world;
  const filters = graph.names().filter((name) => name.startsWith('f'));
  const consumers = ['load', ...filters];
  const choice = random.int(3);
  if (choice === 0 && filters.length < MAX_FILTERS) {
    const [type, params] = FILTERS[random.int(FILTERS.length)]!(random);
    const consumer = consumers[random.int(consumers.length)]!;
    await graph.insert({ consumer, input: 'next', nr: 0 }, { name: `f${nr}`, type, params: params ?? {} });
  } else if (choice === 1 && filters.length > 0) await graph.remove(filters[random.int(filters.length)]!);
  else {
    const consumer = consumers[random.int(consumers.length)]!;
    const wire = { consumer, input: 'next', nr: 0 };
    await graph.swap(wire, graph.wire(wire).provider!.name);
  }
}

export default defineScenario(
  'bricks-under-load',
  'filters come, go and change place under a verified load, and no request is lost, doubled or wrong',
  { hosts: 1, seeds: 20 },
  async (world) => {
    const host = world.host('a');
    const { random } = world;
    registerSimBricks(host);
    const load = {
      depth: 1 + random.int(16),
      count: 800,
      mix: '50r/40w/3f/4t/3z',
      sizes: { 512: 1, '4K': 4, '16K': 1 },
      fua: 10,
      verify: true,
      seed: random.int(1e6),
    };
    const graph = await world.drive(startChain(host, [['load', load], DISK_TIME, ['ram', { size: '256K' }]]));
    const finished = (): boolean => graph.get('load').stats.fact('finished') === true;
    for (let nr = 0; !finished(); nr++) {
      await world.drive(changeSomething(world, graph, nr), { maxVirtualMs: 10_000 });
      await world.advance(random.float() * 0.3);
    }
    await finish(world, host, graph);
  },
);

async function finish(world: World, host: SimHost, graph: Graph): Promise<void> {
  const { stats } = graph.get('load');
  if (stats.fact('failed') === true) {
    throw new MarsError(ErrorCode.VERIFY_FAILED, `the load failed: ${String(stats.fact('failure'))}`, {
      hint: 'Play the seed again with --trace.',
    });
  }
  world.trace.event(world.nowNs, host.index, 'result', ...[...String(stats.fact('hash'))].map((c) => c.charCodeAt(0)));
  await world.drive(stopGraph(graph));
  noLeaks(host);
}
