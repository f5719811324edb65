// Hosts for the conformance suite that are not virtual: this machine (with either ring), and the simulated one.
import { container, composeServices, DebugArena } from '@mars/brick-core';
import { createPlatform } from '@mars/platform';
import { World } from '@mars/sim';

/** Small, because poisoned memory takes its time; the longest request (1 MiB) needs 2 MiB of it. */
const ARENA_BYTES = 8 * 2 ** 20;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** @param ring 'io_uring' | 'threads' */
export function realHost(ring) {
  return async () => {
    const platform = createPlatform({
      ring,
      debugArena: true,
      arenaBytes: ARENA_BYTES,
      poolObjects: 64,
      log: { level: 'silent' },
    });
    return {
      loop: platform.loop,
      arena: platform.loop.arena,
      container: composeServices(container.createChildContainer(), platform),
      // Real things take as long as they take; the suite asks again.
      runFor: (ms) => sleep(Math.min(ms, 5)),
      settle: (promise) => promise,
      close: () => platform.close(),
    };
  };
}

/** @param prepare what the simulated disk holds before the test */
export function simHost(prepare = () => {}) {
  return async () => {
    const world = new World({ seed: 1 });
    const host = world.addHost('a', { arenaBytes: ARENA_BYTES, poolObjects: 64 });
    await prepare(host);
    if (!(host.loop.arena instanceof DebugArena)) throw new Error('the simulated host has no debug arena');
    return {
      loop: host.loop,
      arena: host.loop.arena,
      container: host.container,
      runFor: (ms) => world.advance(ms),
      settle: (promise) => world.drive(promise),
    };
  };
}
