import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { CLOCK, composeServices, container, FILES, NET, RANDOM, RING_DSYNC, type Clock } from '@mars/brick-core';
import { createPlatform, type Platform, type PlatformOptions } from './platform.js';
import { native, nativeReason } from './native.js';
import { RealRandom } from './random.js';
import { sandbox } from './testing/index.js';

const SMALL: PlatformOptions = { arenaBytes: 1 << 20, poolObjects: 16, debugArena: true };

for (const ring of ['auto', 'threads'] as const) {
  describe(`createPlatform with ring: ${ring}`, () => {
    const dir = sandbox();
    const lines: string[] = [];
    let platform: Platform;
    before(() => {
      platform = createPlatform({ ...SMALL, ring, log: { destination: { write: (line) => lines.push(line) } } });
    });
    after(() => platform.close());

    it('says which ring it has, and why', () => {
      assert.ok(platform.ringReason.length > 0);
      if (ring === 'threads') assert.equal(platform.ringKind, 'threads');
      assert.ok(lines.some((line) => line.includes(platform.ringKind) && line.includes('reason')));
    });

    it('brings every service a host needs', () => {
      const host = composeServices(container.createChildContainer(), platform);
      assert.ok(host.resolve(FILES));
      assert.ok(host.resolve(NET));
      assert.ok(host.resolve(RANDOM));
      assert.equal(host.resolve<Clock>(CLOCK), platform.loop);
    });

    it('moves data through the ring, from the arena to the file and back', async () => {
      const { files, loop } = platform;
      const path = dir.file();
      const file = await files.open(path, { write: true, create: true });
      const buf = loop.arena.alloc(8192);
      loop.arena.u8.set(Buffer.from('precious data'), buf);
      const place = { pos: 4096, len: 0 };
      const write = await loop.ring!.call((c, t) => loop.ring!.write(file.fd, buf, 13, place, c, t, RING_DSYNC));
      assert.equal(write, 13);
      assert.equal(readFileSync(path).toString('latin1', 4096), 'precious data');
      loop.arena.fill(buf, 13, 0);
      assert.equal(await loop.ring!.call((c, t) => loop.ring!.read(file.fd, buf, 100, place, c, t)), 13);
      assert.equal(Buffer.from(loop.arena.u8.subarray(buf, buf + 13)).toString(), 'precious data');
      loop.arena.release(buf);
      await files.close(file);
    });

    it('runs thousands of operations with more under way than the ring has entries', async () => {
      const { loop } = platform;
      const calls = Array.from({ length: 5000 }, () => loop.ring!.call((c, t) => loop.ring!.nop(c, t)));
      assert.deepEqual(new Set(await Promise.all(calls)), new Set([0]));
      assert.equal(loop.ring!.inFlight, 0);
    });
  });
}

describe('createPlatform without the addon', () => {
  it('falls back and says why; refuses when io_uring is demanded', () => {
    const script = `
      import { createPlatform } from ${JSON.stringify(new URL('./index.js', import.meta.url).href)};
      const log = { destination: { write: (line) => console.log(JSON.parse(line).msg) } };
      const p = createPlatform({ arenaBytes: 1 << 20, poolObjects: 4, log });
      console.log(p.ringKind, p.ringReason);
      await p.close();
      try { createPlatform({ ring: 'io_uring', log }); } catch (e) { console.log(e.code, e.hint); }`;
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      env: { ...process.env, MARS_NO_NATIVE: '1' },
    });
    assert.equal(child.status, 0, child.stderr);
    const [message, kind, refusal] = child.stdout.split('\n');
    assert.match(message!, /no io_uring/);
    assert.match(kind!, /^threads .*MARS_NO_NATIVE/);
    assert.match(refusal!, /^NATIVE_MISSING .*build:native/);
  });

  it('has a native addon in this tree, or says that it has not', function () {
    if (native) return;
    console.log(`      skipped: ${nativeReason}`);
    this.skip();
  });
});

describe('RealRandom', () => {
  const random = new RealRandom();

  it('stays within its bounds', () => {
    for (let i = 0; i < 5000; i++) {
      const f = random.float();
      assert.ok(f >= 0 && f < 1);
      assert.ok(random.int(7) < 7);
    }
  });

  it('fills all of the bytes', () => {
    const bytes = new Uint8Array(1 << 16);
    random.bytes(bytes);
    assert.equal(new Set(bytes).size, 256);
  });
});
