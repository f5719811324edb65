import assert from 'node:assert/strict';
import native from '../index.cjs';
import { Kit, useKit, OP, FLAG, EFAULT, fdCount, ringCount } from './kit.mjs';

describe('the ring as a queue', () => {
  const holder = useKit({ entries: 16 });

  it('never loses or overwrites a completion when far more are due than one tick returns', () => {
    const { kit } = holder;
    const { ring } = kit;
    const pairs = 60;
    const sockets = Array.from({ length: pairs }, () => native.socketpair());
    const waiting = [];
    for (let round = 0; round < 20; round++)
      for (const [a] of sockets) {
        if (kit.queued === ring.entries) kit.tick();
        waiting.push(kit.op(OP.POLL, { fd: a, flags: FLAG.POLL_HUP }));
      }
    kit.tick();
    assert.equal(ring.stats().inFlight, 20 * pairs);
    for (const [, b] of sockets) native.closeFd(b); // 1200 completions at once: beyond cq and beyond the kernel's queue
    const counts = [];
    for (let n = 1; n > 0 || counts.length < 5;) counts.push((n = kit.tick(1000)));
    assert.ok(counts.every((n) => n <= ring.cqEntries));
    assert.ok(counts.filter((n) => n === ring.cqEntries).length > 30, `ticks brought ${counts}`);
    for (const tag of waiting) assert.ok(kit.take(tag) & FLAG.POLL_HUP, `tag ${tag}`);
    assert.equal(ring.stats().inFlight, 0);
    for (const [a] of sockets) native.closeFd(a);
  });

  it('keeps inline and failed completions, too, while the kernel has many', () => {
    const { kit } = holder;
    const tags = [];
    for (let i = 0; i < 400; i++) {
      const code = [OP.NOP, OP.COPY, OP.READ][i % 3];
      tags.push([
        kit.op(code, { fd: -1, buf: code === OP.READ ? -1 : 0, len: 4, off: 64 }),
        code === OP.READ ? EFAULT : 0,
      ]);
      if (kit.queued === kit.ring.entries) kit.tick();
    }
    kit.wait();
    for (let i = 0; i < 100; i++) kit.tick(100);
    for (const [tag, expected] of tags) assert.equal(kit.take(tag), expected);
  });

  it('waits no longer than asked, and not at all when asked so', () => {
    const { kit } = holder;
    const started = process.hrtime.bigint();
    for (let i = 0; i < 100; i++) assert.equal(kit.tick(0), 0);
    assert.equal(kit.tick(1000), 0);
    assert.equal(kit.tick(-1), 0, 'an endless wait is cut into slices');
    assert.ok(process.hrtime.bigint() - started >= 1_000_000n);
  });

  it('refuses operations beyond its entries and calls that make no sense', () => {
    const { ring } = holder.kit;
    const wrong = { code: 'ERR_MARS_RING_STATE' };
    assert.throws(() => ring.tick(17, 0), wrong);
    assert.throws(() => ring.tick(-1, 0), wrong);
    assert.throws(() => ring.tick(), wrong);
    assert.throws(() => ring.tick('1', 0), wrong);
    assert.throws(() => ring.run(), wrong);
    assert.throws(() => ring.run(() => 17), wrong);
    assert.throws(() => ring.run(() => 'x'), wrong);
    assert.throws(() => ring.attach(7), wrong);
    for (const options of [
      undefined,
      {},
      { entries: 7 },
      { entries: 8193 },
      { arenaBytes: 2 ** 31 },
      { arenaBytes: 100 },
      { spinUs: -1 },
      { entries: 'x' },
    ])
      if (options && Object.keys(options).length === 0) native.open(options).close();
      else assert.throws(() => native.open(options), /must be a number|open needs/);
  });

  it('shows its memory as documented', () => {
    const { ring } = holder.kit;
    assert.equal(ring.sq.length, ring.entries * 8);
    assert.equal(ring.cq.length, ring.cqEntries * 2);
    assert.equal(ring.iov.length, ring.iovEntries * 2);
    assert.equal(ring.arena.byteLength, 4 << 20);
  });

  it('keeps its memory when somebody tries to transfer the arena away', () => {
    const { kit } = holder;
    try {
      structuredClone(kit.ring.arena, { transfer: [kit.ring.arena] }); // makes a copy, or throws in newer releases of Node
    } catch (err) {
      assert.equal(err.name, 'DataCloneError');
    }
    assert.equal(kit.ring.arena.byteLength, 4 << 20);
    kit.bytes.write('still here', 0);
    kit.do(OP.COPY, { buf: 0, len: 10, off: 100 });
    assert.equal(kit.bytes.toString('latin1', 100, 110), 'still here');
  });

  it('opens an arena of almost 2 GiB and uses its last page', () => {
    const kit = new Kit({ arenaBytes: 2 ** 31 - 4096 });
    const last = kit.bytes.length - 4096;
    kit.bytes.fill(9, last);
    assert.equal(kit.do(OP.COPY, { buf: last, len: 4096, off: 0 }), 0);
    assert.equal(kit.do(OP.COMPARE, { buf: last, len: 4096, off: 0 }), 0);
    assert.equal(kit.do(OP.COPY, { buf: last, len: 4097, off: 0 }), EFAULT);
    kit.close();
  });
});

describe('run()', () => {
  const holder = useKit();

  it('calls back once per batch until -1', () => {
    const { kit } = holder;
    const seen = [];
    kit.op(OP.NOP, { tag: 1 });
    kit.op(OP.NOP, { tag: 2 });
    kit.ring.run((n) => {
      if (n === 0) return 0;
      seen.push(Array.from(kit.ring.cq.subarray(0, 2 * n)));
      if (seen.length === 3) return -1;
      kit.queued = 0;
      kit.op(OP.NOP, { tag: 10 + seen.length });
      return 1;
    }, 2);
    kit.queued = 0;
    assert.deepEqual(seen, [
      [1, 0, 2, 0],
      [11, 0],
      [12, 0],
    ]);
    assert.equal(kit.do(OP.NOP), 0, 'the ring is usable afterwards');
  });

  it('passes an exception of the callback on, and may be run again', () => {
    const { kit } = holder;
    kit.op(OP.NOP, { tag: 1 });
    assert.throws(
      () =>
        kit.ring.run(() => {
          throw new Error('mine');
        }, 1),
      /mine/,
    );
    let calls = 0;
    kit.ring.run(() => (calls++, -1));
    assert.equal(calls, 1);
  });

  it('refuses tick, run, attach and close inside', () => {
    const { ring } = holder.kit;
    ring.run(() => {
      for (const call of [
        () => ring.tick(0, 0),
        () => ring.run(() => -1),
        () => ring.attach(() => {}),
        () => ring.close(),
      ])
        assert.throws(call, { code: 'ERR_MARS_RING_STATE' });
      return -1;
    });
  });

  it('is left by wake(), and calls back now and then even when nothing happens', () => {
    const { ring } = holder.kit;
    assert.equal(ring.wake(), true);
    let calls = 0;
    ring.run((n) => (assert.equal(n, 0), ++calls === 3 ? -1 : 0));
    assert.equal(calls, 3);
  });
});

describe('spinning', () => {
  const holder = useKit({ spinUs: 200 });

  it('happens at low depth, pays off there, and stops when switched off', () => {
    const { kit } = holder;
    const burst = () => {
      for (let i = 0; i < 200; i++) kit.do(OP.TIMEOUT, { off: 20_000 });
    };
    burst();
    const on = kit.ring.stats();
    assert.ok(on.spinHits > 20, `hits ${on.spinHits}, misses ${on.spinMisses}`);
    kit.ring.setSpinUs(0);
    burst();
    const off = kit.ring.stats();
    assert.equal(off.spinHits + off.spinMisses, on.spinHits + on.spinMisses);
  });

  it('gives up on operations that take longer than the spin, but for a probe now and then', () => {
    const { kit } = holder;
    for (let i = 0; i < 100; i++) kit.do(OP.TIMEOUT, { off: 600_000 });
    const { spinMisses, sleeps } = kit.ring.stats();
    assert.ok(spinMisses < 40, `misses ${spinMisses}`);
    assert.ok(sleeps >= 90, `sleeps ${sleeps}`);
  });

  it('is off while idle', () => {
    const { kit } = holder;
    const long = kit.op(OP.TIMEOUT, { off: 60n * 1_000_000_000n });
    kit.tick();
    for (let i = 0; i < 30; i++) kit.tick(3000);
    const { spinMisses } = kit.ring.stats();
    assert.ok(spinMisses <= 2, `misses ${spinMisses}`);
    kit.wait(kit.op(OP.CANCEL, { buf: long }), long);
  });
});

describe('close()', () => {
  it('cancels what waits, counts what nobody saw, and leaves no descriptor behind', () => {
    const fds = fdCount();
    const kit = new Kit();
    const [a, b] = native.socketpair();
    for (let i = 0; i < 10; i++) kit.op(OP.RECV, { fd: a, buf: 4096 * i, len: 4096 });
    kit.op(OP.TIMEOUT, { off: 3600n * 1_000_000_000n });
    kit.tick();
    assert.equal(kit.ring.stats().inFlight, 11);
    assert.equal(kit.close(), 11);
    assert.equal(kit.close(), 0);
    assert.throws(() => kit.ring.tick(0, 0), { code: 'ERR_MARS_RING_STATE' });
    assert.throws(() => kit.ring.run(() => -1), { code: 'ERR_MARS_RING_STATE' });
    assert.throws(() => kit.ring.attach(() => {}), { code: 'ERR_MARS_RING_STATE' });
    assert.equal(kit.ring.wake(), false);
    kit.ring.setSpinUs(5);
    kit.ring.detach();
    assert.equal(kit.bytes[0], 0, 'the arena may still be looked at');
    native.closeFd(a);
    native.closeFd(b);
    assert.equal(fdCount(), fds);
  });

  it('makes the wake handle dead, for ever', () => {
    const first = new Kit();
    const { wakeHandle } = first.ring;
    assert.equal(native.wakeRing(wakeHandle), true);
    first.close();
    const second = new Kit();
    assert.notEqual(second.ring.wakeHandle, wakeHandle);
    assert.equal(native.wakeRing(wakeHandle), false);
    second.close();
  });

  it('can be repeated a thousand times', () => {
    const rings = ringCount();
    for (let i = 0; i < 1000; i++) {
      const kit = new Kit({ arenaBytes: 65536, entries: 8 });
      kit.op(OP.TIMEOUT, { off: 3600n * 1_000_000_000n });
      kit.tick();
      assert.equal(kit.close(), 1);
    }
    assert.equal(ringCount(), rings);
  });
});
