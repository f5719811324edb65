import assert from 'node:assert/strict';
import { BRICKS, type BrickRegistry } from '@mars/brick-core';
import { createTestHost, type TestHost } from '@mars/brick-core/testing';
import type { StackEvent, StackHandle } from '../handle.js';
import { loadStack, type LoadOptions } from '../plan/load.js';
import { testBricks } from '../support.test.kit.js';
import { openStack } from './running-stack.js';

const TEXT = `
mars: 1
stack: demo
bricks:
  disk: { type: ram, params: { size: 1M } }
  slow: { type: delay, in: disk, params: { write: 5ms } }
  load: { type: load, in: slow }
`;

describe('A running stack', () => {
  let host: TestHost;
  let registry: BrickRegistry;
  let stack: StackHandle;
  const events: StackEvent[] = [];

  beforeEach(() => {
    host = createTestHost({ bricks: testBricks });
    registry = host.container.resolve(BRICKS);
    events.length = 0;
  });

  it('comes up, providers first', async () => {
    await open(TEXT);
    assert.deepEqual(
      steps().filter((text) => text.startsWith('press')),
      ['press disk', 'press slow', 'press load'],
    );
  });

  async function open(text: string, options: Partial<LoadOptions> = {}): Promise<void> {
    const { plan, secrets } = loadStack(text, { registry, ...options });
    stack = openStack({ plan, secrets, loop: host.loop, host: host.container, registry });
    stack.subscribe((event) => events.push(structuredClone(event)));
    await host.clock.settle(stack.settled());
  }

  function steps(): string[] {
    return events.flatMap((event) =>
      event.kind === 'step' ? [event.text + (event.failure ? ` FAILED ${event.failure.message}` : '')] : [],
    );
  }
});
