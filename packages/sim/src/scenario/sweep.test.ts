import assert from 'node:assert/strict';
import { World, forEachNth, type SimHost } from '../index.js';

/** Replaces a fact in three steps, so that a reader finds the old one or the new one, whatever happens in between. */
async function replaceFact(host: SimHost, value: string): Promise<void> {
  const { files } = host;
  files.symlink(value, '/facts/.tmp');
  files.rename('/facts/.tmp', '/facts/key');
  await files.syncDir('/facts');
}

describe('forEachNth', () => {
  it('kills the host at every operation of a story, and the story holds: old or new, and new once it was synced', async () => {
    const found: (string | null)[] = [];
    const operations = await forEachNth(async (nth) => {
      const world = new World({ seed: nth });
      const host = world.addHost('a');
      host.files.makeDir('/facts');
      await world.drive(replaceFact(host, 'old'));
      const fault = host.disk.fault({ on: ['meta', 'sync-dir'], nth, crash: 'power' });
      host.run(() => replaceFact(host, 'new'));
      await world.run();
      if (host.isUp) host.crash('power');
      host.restart();
      found.push(host.files.readLink('/facts/key'));
      world.close();
      return fault.hits > 0;
    });
    assert.equal(operations, 3);
    assert.equal(found.at(-1), 'new');
    for (const value of found) assert.ok(value === 'old' || value === 'new', String(value));
  });

  it('refuses a story without an end', async () => {
    await assert.rejects(
      forEachNth(() => Promise.resolve(true)),
      /MAX_SWEEP/,
    );
  });
});
