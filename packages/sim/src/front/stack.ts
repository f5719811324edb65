import { BRICKS, Graph, registerBricks, type BrickClass } from '@mars/brick-core';
import { checkBricks } from '@mars/bricks-check';
import type { SimHost } from '../world/host.js';
import type { DeviceMemory } from './device-memory.js';
import { DEVICE_MEMORY, IfSimBrick } from './if-sim.js';
import { SimFileBrick } from './sim-file.js';

/** One brick of a chain: `[type, parameters]`; its name is its type, with a number when there are several. */
export type ChainLink = readonly [type: string, params?: Record<string, unknown>];

/** Makes the bricks of the simulator and of `bricks-check` known to a host, and more if wanted. */
export function registerSimBricks(host: SimHost, more: readonly BrickClass[] = []): void {
  registerBricks(host.container, checkBricks, '@mars/bricks-check');
  registerBricks(host.container, [IfSimBrick, SimFileBrick, ...more], '@mars/sim');
}

/**
 * Builds a chain of bricks, consumer first, wires it and switches it on. A faulty brick ends the run.
 * @returns the graph; the top is called as its type
 */
export async function startChain(
  host: SimHost,
  chain: readonly ChainLink[],
  options: { memory?: DeviceMemory } = {},
): Promise<Graph> {
  const { container, loop, world } = host;
  if (options.memory !== undefined) {
    container.register(DEVICE_MEMORY, { useValue: options.memory });
    options.memory.onWrong = (error) => world.fail(error);
  }
  const graph = new Graph({ name: 'sim', loop, host: container, registry: container.resolve(BRICKS) });
  graph.onEvent((event) => {
    // An event of its own: where the error itself comes through, it says more.
    if (event.kind === 'threw')
      world.after(0, () => world.fail(new Error(`brick ${event.brick} on ${host.name}: ${event.message}`)));
  });
  const names = uniqueNames(chain.map(([type]) => type));
  for (const [i, [type, params]] of chain.entries()) graph.add(names[i]!, type, params ?? {});
  for (let i = 0; i + 1 < names.length; i++)
    graph.connect({ consumer: names[i]!, input: 'next', nr: 0 }, names[i + 1]!);
  for (const name of [...names].reverse()) await graph.press(name);
  return graph;
}

/** Switches everything off, consumers first, and takes it out. */
export async function stopGraph(graph: Graph): Promise<void> {
  const names = graph
    .providersFirst()
    .reverse()
    .map((brick) => brick.name);
  for (const name of names) await graph.release(name);
  for (const name of names) if (graph.has(name)) await graph.destroy(name);
}

function uniqueNames(types: readonly string[]): string[] {
  const used = new Map<string, number>();
  return types.map((type) => {
    const count = (used.get(type) ?? 0) + 1;
    used.set(type, count);
    return count === 1 ? type : `${type}-${count}`;
  });
}
