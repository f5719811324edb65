import { DeviceMemory, defineScenario, noLeaks, registerSimBricks, startChain, stopGraph } from '../index.js';
import type { Graph } from '@mars/brick-core';

const DEVICE_BYTES = 128 * 1024;
const CRASHES = 4;

/**
 * The host dies at any moment, by power cut or by the death of the process, and comes back; its client remembers what it
 * was told. The stack is a plain file, so this proves the disk model, the client and the machinery of crashes, and it is the
 * pattern for the logger.
 */
export default defineScenario(
  'host-crash',
  'whatever was answered as durable is there after every crash of the host, and no sector is torn or invented',
  { hosts: 0, seeds: 30 },
  async (world) => {
    const { random } = world;
    const memory = new DeviceMemory(DEVICE_BYTES);
    const onDevice = random.int(2) === 0;
    let graph: Graph | null = null;
    const host = world.addHost('a', {
      disk: { journal: random.int(2) === 0 ? 'journal' : 'posix' },
      boot: async (self) => {
        graph = null;
        registerSimBricks(self);
        const client = {
          depth: 1 + random.int(12),
          span: random.int(2) === 0 ? '8K' : '128K',
          flush: 5 + random.int(20),
          seed: random.int(1e6),
        };
        const path = onDevice ? '/dev/vda' : '/image';
        const chain = [
          ['if-sim', client],
          ['sim-file', { path, size: DEVICE_BYTES }],
        ] as const;
        graph = await startChain(self, chain, { memory });
      },
    });
    if (onDevice) host.disk.addDevice('vda', DEVICE_BYTES);
    for (let crash = 0; crash < CRASHES; crash++) {
      await world.advance(1 + random.float() * 15);
      const kind = random.int(3) === 0 ? 'process' : 'power';
      host.crash(kind);
      memory.crash();
      await world.advance(random.float() * 5);
      host.restart();
    }
    await world.run({ until: () => graph !== null && !memory.needsSurvey, maxVirtualMs: 5000 });
    await world.advance(2);
    await world.drive(stopGraph(graph!), { maxVirtualMs: 5000 });
    noLeaks(host);
  },
);
