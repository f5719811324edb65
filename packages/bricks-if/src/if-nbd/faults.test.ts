import assert from 'node:assert/strict';
import { InvariantError } from '@mars/brick-core';
import { CMD_READ, OPT_GO } from '../nbd/protocol.js';
import type { MemoryClient } from '../testing/memory-ring.test.kit.js';
import { clientFlags, infoData, option, request } from '../testing/nbd-talk.test.kit.js';
import { ServerKit } from '../testing/server-kit.test.kit.js';
import { Greeter } from './greeter.js';
import { NbdExport } from './export.js';
import { NbdListener } from './listener.js';
import { Session } from './session.js';

/** Classes whose code the loop, the ring or a timer calls, and a method of each that is on the way. */
const PLACES = [
  ['a session receives', Session, 'received'],
  ['a session sends', Session, 'sent'],
  ['a session has its turn in the tick', Session, 'endBatch'],
  ['a greeter receives', Greeter, 'received'],
  ['a listener accepts', NbdListener, 'sweepLater'],
  ['an export looks for late payloads', NbdExport, 'sweep'],
  ['a listener looks for late handshakes', NbdListener, 'sweep'],
] as const;

describe('if-nbd, when its own code throws', () => {
  let undo = (): void => {};
  let kit: ServerKit | null = null;
  afterEach(async () => {
    undo();
    await kit?.close();
    kit = null;
  });

  /** The next calls of a method throw, as long as the test lasts. */
  function sabotage(where: { prototype: object }, method: string, error: Error): void {
    const methods = where.prototype as Record<string, unknown>;
    const real = methods[method];
    undo = () => (methods[method] = real);
    methods[method] = () => {
      throw error;
    };
  }

  function join(kit: ServerKit): MemoryClient {
    const client = kit.connect();
    client.write(clientFlags());
    client.write(option(OPT_GO, infoData('')));
    kit.run();
    client.write(request({ type: CMD_READ, length: 512 }));
    return client;
  }

  for (const [title, where, method] of PLACES) {
    it(`${title}: the brick is switched off, its client is gone, and everybody else goes on`, async () => {
      kit = await ServerKit.open();
      await kit.add('other', { listen: ['/other.sock'] });
      await kit.press('other');
      const threw: string[] = [];
      kit.graph.onEvent((event) => event.kind === 'threw' && threw.push(event.brick));
      sabotage(where, method, new Error('a mistake of ours'));
      const client = join(kit);
      kit.host.clock.advanceMs(20_000);
      undo();
      await kit.host.clock.settle(kit.host.loop.sleep(20_000));
      assert.deepEqual(threw, ['brick']);
      assert.equal(kit.graph.get('brick').power.led, 'off');
      assert.equal(kit.graph.get('other').power.led, 'on');
      assert.ok(client.isClosedByServer);
    });
  }

  it('a failed invariant is not caught: the process must not go on', async () => {
    // Not closed: nothing can be done in a loop that has failed.
    const dead = await ServerKit.open();
    const client = dead.connect();
    sabotage(Greeter, 'received', new InvariantError('the test says so'));
    assert.throws(() => {
      client.write(clientFlags());
      dead.run();
    }, InvariantError);
  });
});
