import assert from 'node:assert/strict';
import fs from 'node:fs';
import native from '../index.cjs';
import { Kit, useKit, OP, FLAG, ECANCELED, ETIME } from './kit.mjs';

/** Attaches and resolves with the results of `tags`, in the order asked. */
function attached(kit, ...tags) {
  return new Promise((resolve) => {
    kit.ring.attach(() => {
      kit.tick();
      if (!tags.every((tag) => kit.results.has(tag))) return;
      kit.ring.detach();
      resolve(tags.map((tag) => kit.take(tag)));
    });
  });
}

describe('attach()', () => {
  const holder = useKit({ entries: 16 });

  it('wakes the event loop for the first completion', async () => {
    const { kit } = holder;
    const tag = kit.op(OP.TIMEOUT, { off: 2_000_000 });
    const result = attached(kit, tag);
    kit.tick();
    assert.deepEqual(await result, [ETIME]);
  });

  it('finds operations that were submitted, or completed, before it', async () => {
    const { kit } = holder;
    const tag = kit.op(OP.TIMEOUT, { off: 1_000_000 });
    kit.tick();
    const end = process.hrtime.bigint() + 5_000_000n;
    while (process.hrtime.bigint() < end);
    assert.deepEqual(await attached(kit, tag), [ETIME]);
  });

  it('lets timers and promises run between batches, and promises inside one', async () => {
    const { kit } = holder;
    const order = [];
    const tags = [3_000_000, 30_000_000].map((off) => kit.op(OP.TIMEOUT, { off }));
    setTimeout(() => order.push('timer'), 10);
    await new Promise((resolve) => {
      kit.ring.attach(() => {
        if (kit.tick() === 0) return;
        order.push('batch');
        Promise.resolve().then(() => order.push('promise'));
        if (tags.every((tag) => kit.results.has(tag))) resolve();
      });
      kit.tick();
    });
    kit.ring.detach();
    assert.deepEqual(order, ['batch', 'promise', 'timer', 'batch', 'promise']);
  });

  it('calls again while completions remain that one tick had no room for', async () => {
    const { kit } = holder;
    const [a, b] = native.socketpair();
    const tags = [];
    for (let i = 0; i < 300; i++) {
      if (kit.queued === kit.ring.entries) kit.tick();
      tags.push(kit.op(OP.POLL, { fd: a, flags: FLAG.POLL_HUP }));
    }
    kit.tick();
    const results = attached(kit, ...tags);
    native.closeFd(b);
    assert.ok((await results).every((events) => events & FLAG.POLL_HUP));
    native.closeFd(a);
  });

  it('is called for every wake', async () => {
    const { kit } = holder;
    for (let i = 0; i < 50; i++) {
      await new Promise((resolve) => {
        if (i === 0)
          kit.ring.attach(() => {
            kit.tick();
            kit.onWake();
          });
        kit.onWake = resolve;
        assert.equal(native.wakeRing(kit.ring.wakeHandle), true);
      });
    }
    kit.ring.detach();
  });

  it('is called for a wake again and again, with nothing else going on', async () => {
    const { kit } = holder;
    let woken = () => {};
    kit.ring.attach(() => {
      kit.tick();
      woken();
    });
    // Apart from each other: what the kernel puts off must not be hidden by the wake that follows.
    for (let i = 0; i < 5; i++) {
      await new Promise((resolve) => {
        woken = resolve;
        native.wakeRing(kit.ring.wakeHandle);
      });
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    kit.ring.detach();
  });

  it('hears of what completes after a wake', async () => {
    const { kit } = holder;
    const [a, b] = native.socketpair();
    for (let i = 0; i < 5; i++) {
      const tag = kit.op(OP.RECV, { fd: a, buf: 0, len: 100 });
      kit.tick();
      const results = attached(kit, tag);
      native.wakeRing(kit.ring.wakeHandle);
      await new Promise((resolve) => setTimeout(resolve, 10));
      fs.writeSync(b, 'late');
      assert.deepEqual(await results, [4]);
    }
    native.closeFd(a);
    native.closeFd(b);
  });

  it('may be detached and attached again with operations in flight', async () => {
    const { kit } = holder;
    const tag = kit.op(OP.TIMEOUT, { off: 15_000_000 });
    kit.ring.attach(() => assert.fail('detached'));
    kit.tick();
    kit.ring.detach();
    kit.ring.detach();
    assert.deepEqual(await attached(kit, tag), [ETIME]);
  });

  it('refuses a second attach and run', () => {
    const { ring } = holder.kit;
    ring.attach(() => {});
    assert.throws(() => ring.attach(() => {}), { code: 'ERR_MARS_RING_STATE' });
    assert.throws(() => ring.run(() => -1), { code: 'ERR_MARS_RING_STATE' });
    ring.keepAlive(false);
    ring.keepAlive(true);
    ring.detach();
    ring.run(() => -1);
  });

  it('allows close() inside its callback', async () => {
    const kit = new Kit();
    kit.op(OP.TIMEOUT, { off: 1_000_000 });
    kit.op(OP.TIMEOUT, { off: 3600n * 1_000_000_000n });
    await new Promise((resolve) => {
      kit.ring.attach(() => {
        if (kit.tick() === 0) return;
        assert.equal(kit.close(), 1);
        resolve();
      });
      kit.tick();
    });
  });

  it('hands an exception of the callback to uncaughtException and goes on', async () => {
    const { kit } = holder;
    const mochas = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const caught = new Promise((resolve) => process.once('uncaughtException', resolve));
    // Far apart: when both are over before the first call, there is no second one.
    const tags = [1, 300].map((ms) => kit.op(OP.TIMEOUT, { off: ms * 1_000_000 }));
    let calls = 0;
    const second = new Promise((resolve) => {
      kit.ring.attach(() => {
        kit.tick();
        if (++calls === 1) throw new Error('mine');
        if (tags.every((tag) => kit.results.has(tag))) resolve();
      });
    });
    kit.tick();
    try {
      assert.equal((await caught).message, 'mine');
      await second;
    } finally {
      mochas.forEach((listener) => process.on('uncaughtException', listener));
      kit.ring.detach();
    }
  });

  it('works for cancelled operations', async () => {
    const { kit } = holder;
    const long = kit.op(OP.TIMEOUT, { off: 3600n * 1_000_000_000n });
    kit.tick();
    const cancel = kit.op(OP.CANCEL, { buf: long });
    const results = attached(kit, long, cancel);
    kit.tick(); // brings both at once, so the callback has nothing left to collect …
    kit.ring.wake(); // … and looks again only because it is woken
    assert.deepEqual(await results, [ECANCELED, 0]);
  });
});
