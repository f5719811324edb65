// The files of trust survive a power cut at any step: afterwards stands the old state or the new one, never a mixture.
import assert from 'node:assert/strict';
import { World } from '@mars/sim';
import { TrustStore, decodeToken } from '@mars/wire';

const MARS = '/mars';

describe('the files of trust, when the power goes', function () {
  this.timeout(120_000);

  const storeOn = (host) => new TrustStore({ files: host.files, clock: host.loop, random: host.random, marsDir: MARS });

  /** Keys are made outside the world's time, files are synced inside it: so both have to go on. */
  async function driven(world, promise) {
    let isOver = false;
    const done = promise.finally(() => (isOver = true));
    done.catch(() => {});
    while (!isOver) {
      await new Promise((resolve) => setImmediate(resolve));
      await world.run();
    }
    return done;
  }

  /** Plays `change` on a host whose power goes at its n-th metadata operation, for n = 1, 2, 3 … until it gets through. */
  async function cutEverywhere(prepare, change, judge) {
    let cuts = 0;
    for (let seed = 1, isThrough = false; !isThrough; seed++) {
      const world = new World({ seed });
      const host = world.addHost('nodea');
      host.files.makeDir(MARS, { mode: 0o700 });
      await world.drive(host.files.syncDir('/'));
      const before = await driven(world, prepare(storeOn(host), host));
      let left = seed;
      const files = new Proxy(host.files, {
        get(target, name) {
          const value = target[name];
          if (typeof value !== 'function' || !['writeFile', 'unlink', 'makeDir', 'removeDir'].includes(name))
            return typeof value === 'function' ? value.bind(target) : value;
          return (...args) => {
            if (--left === 0) host.crash('power');
            return value.apply(target, args);
          };
        },
      });
      const store = new TrustStore({ files, clock: host.loop, random: host.random, marsDir: MARS });
      try {
        await driven(world, Promise.resolve(change(store, before)));
        isThrough = true;
      } catch (error) {
        if (!host.isUp) cuts++;
        else throw error;
      }
      if (host.isUp) host.crash('power');
      host.restart();
      judge(storeOn(host), before, isThrough);
    }
    return cuts;
  }

  it('a new authority replaces the old one, or does not', async () => {
    const cuts = await cutEverywhere(
      async (store) => {
        await store.create('nodea');
        return store.read().caFingerprintHex;
      },
      (store) => store.create('nodea'),
      (store, before, isThrough) => {
        const state = store.read();
        assert.equal(state.kind, 'member');
        if (isThrough) assert.notEqual(state.caFingerprintHex, before);
      },
    );
    assert.ok(cuts >= 5, `${cuts} cuts`);
  });

  it('a renewed certificate has its key and its former ones, or nothing has changed', async () => {
    await cutEverywhere(
      async (store) => {
        await store.create('nodea');
        return store.read().fingerprintHex;
      },
      (store) => store.renew({ force: true }),
      (store, before, isThrough) => {
        const { kind, fingerprintHex, identity } = store.read();
        assert.equal(kind, 'member');
        assert.equal(identity.successions.length, fingerprintHex === before ? 0 : 1);
        if (isThrough) assert.notEqual(fingerprintHex, before);
      },
    );
  });

  it('a token that was kept is there, or the state before', async () => {
    await cutEverywhere(
      async (store, host) => {
        await store.create('nodea');
        const line = store.invite({ host: '10.0.0.1', port: 7777 });
        host.line = line;
        store.createInsecure();
        return line;
      },
      (store, line) => store.keepToken(line),
      (store, line, isThrough) => {
        const state = store.read();
        if (state.kind === 'joining') assert.deepEqual(state.token, decodeToken(line));
        else assert.equal(state.kind, 'insecure');
        if (isThrough) assert.equal(state.kind, 'joining');
      },
    );
  });

  it('an invitation that was redeemed stays redeemed, and any other is still good', async () => {
    await cutEverywhere(
      async (store) => {
        await store.create('nodea');
        const line = store.invite({ host: '10.0.0.1', port: 7777 });
        await store.sync();
        return line;
      },
      (store, line) => {
        const result = store.redeem(line, 'nodeb', Uint8Array.of(1));
        assert.equal(result.reason, undefined);
        return store.sync();
      },
      (store, line, isThrough) => {
        const other = store.redeem(line, 'nodec', Uint8Array.of(2));
        if (isThrough) assert.equal(other.reason, 'token-used');
        else assert.ok(other.reason === undefined || other.reason === 'token-used', other.text);
      },
    );
  });
});
