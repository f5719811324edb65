// A thread with a stack: its own ring and loop, its own host, the same brick types as its owner. See README of this directory's
// package in docs/architecture.md, "Processes and threads".
import { BRICKS, container, registerBricks } from '@mars/brick-core';
import { serveLoopThread } from '@mars/platform';
import { openStack } from '@mars/stack';
import { composeHost, type BrickPackage } from '../compose.js';
import { inspectPlugins } from '../plugins/installed.js';
import type { DataThreadStart, ToStack } from './messages.js';
import { StackServer } from './stack-server.js';

await serveLoopThread(
  async ({ platform, data, post }) => {
    // What is refused was said by the owner, who has looked at the same directory.
    const { packages } = await inspectPlugins();
    const host = composeHost(container.createChildContainer(), platform, packages);
    for (const module of (data as DataThreadStart).brickModules) {
      const { bricks, source } = (await import(module)) as BrickPackage;
      registerBricks(host, bricks, source);
    }
    const { loop, log } = platform;
    const registry = host.resolve(BRICKS);
    const server = new StackServer(post, (request) => openStack({ ...request, loop, host, registry, log }));
    return { onMessage: (message) => server.heard(message as ToStack) };
  },
  (data) => {
    const { level, ring, spinUs, lockArena } = data as DataThreadStart;
    return { level, ring, spinUs, lockArena };
  },
);
