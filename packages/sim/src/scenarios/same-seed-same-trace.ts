import { ErrorCode, MarsError, type NetStream } from '@mars/brick-core';
import { DeviceMemory, World, defineScenario, firstDivergence, registerSimBricks, startChain } from '../index.js';

/** A bit of everything: two hosts that crash, load on a disk with faults, bytes over a link that is cut and healed. */
async function story(seed: number): Promise<World> {
  const world = new World({ seed, trace: true });
  const memory = new DeviceMemory(64 * 1024);
  const random = world.random;
  const b = world.addHost('b', { skewMs: random.int(2000) - 1000, driftPpm: random.int(400) - 200 });
  await world.drive(
    b.net.listen({ host: 'b', port: 7777 }, (stream) => stream.onData((bytes) => void stream.write(bytes))),
  );
  const a = world.addHost('a', {
    boot: async (self) => {
      registerSimBricks(self);
      const chain = [
        ['if-sim', { depth: 6, seed: random.int(1e6) }],
        ['delay', { write: '100us', jitter: '200us' }],
        ['sim-file', { path: '/x', size: '64K' }],
      ] as const;
      await startChain(self, chain, { memory });
      const stream = await self.net.connect({ host: 'b', port: 7777 });
      chatter(stream, self.loop, 0);
    },
  });
  a.disk.fault({ on: ['read', 'write', 'sync'], rate: 0.05, slow: { minUs: 100, maxUs: 2000 } });
  for (let i = 0; i < 3; i++) {
    await world.advance(random.float() * 8);
    world.net.cut('a', 'b', { oneWay: random.int(2) === 0 });
    await world.advance(random.float() * 4);
    world.net.healAll();
    a.crash(random.int(2) === 0 ? 'power' : 'process');
    memory.crash();
    a.restart();
  }
  await world.advance(10);
  world.close();
  return world;
}

function chatter(
  stream: NetStream,
  loop: { after: <T>(ms: number, arg: T, fn: (arg: T) => void) => void },
  nr: number,
): void {
  stream.write(new Uint8Array(1 + ((nr * 37) % 3000)).fill(nr));
  loop.after(0.5, nr + 1, (next) => chatter(stream, loop, next));
}

export default defineScenario(
  'same-seed-same-trace',
  'two runs with one seed are the same, event by event',
  { hosts: 0, seeds: 20 },
  async (world) => {
    const one = await story(world.seed);
    const other = await story(world.seed);
    world.trace.event(0, -1, 'story', parseInt(one.traceHash.slice(0, 8), 16), one.trace.events);
    if (one.traceHash === other.traceHash) return;
    const at = firstDivergence(one.trace.lines, other.trace.lines);
    throw new MarsError(ErrorCode.SIM_MISMATCH, `line ${at?.line}: "${at?.one}" against "${at?.other}"`, {
      hint: 'Something asks the real world: a clock, Math.random, state that outlives a world.',
    });
  },
);
