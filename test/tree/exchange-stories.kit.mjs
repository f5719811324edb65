// Stories in which one rule of the exchange decides; the scenario meets them too seldom to rely on it.
import assert from 'node:assert/strict';
import { paths } from '@mars/mars-tree';
import { SimDaemon, makeMembers } from './exchange.kit.mjs';

/** Hosts `a`, `b` … that know each other; ready when everybody has compared with everybody. */
export async function cluster(world, count, options = {}) {
  for (let i = 0; i < count; i++) world.addHost('abcdefgh'[i]);
  const daemons = [];
  for (const host of world.hosts) {
    host.files.makeDir('/mars');
    await world.drive(host.files.syncDir('/'));
    const daemon = new SimDaemon(host, typeof options === 'function' ? options(host) : options);
    makeMembers(daemon.store, world.hosts);
    daemons.push(daemon);
    host.run(() => daemon.start());
  }
  await inSync(world, daemons);
  return daemons;
}

export function inSync(world, daemons) {
  const isReady = ({ exchange }) => exchange.status().every(({ state }) => state === 'in-sync');
  return world.run({ until: () => daemons.every(isReady), maxVirtualMs: 60_000 });
}

/**
 * A deletion that was made long ago in a part of the cluster that was cut off: it arrives with an old stamp, when everybody has confirmed
 * much newer ones.
 */
export async function lateDeletion(world, mutate = () => {}) {
  const [a, b, c] = await cluster(world, 3, { mutate });
  a.store.write('userspace/x', 'old');
  await world.advance(100_000);
  assert.equal(b.store.snapshot.value('userspace/x'), 'old');
  world.net.cut('c', 'a');
  world.net.cut('c', 'b');
  c.store.delete('userspace/x');
  await world.advance(100_000);
  // Now a hears of it. It hears b as well, but b does not hear a any more, nor c.
  world.net.cut('a', 'b', { oneWay: true });
  world.net.heal('c', 'a');
  await world.advance(100_000);
  assert.equal(b.store.snapshot.value('userspace/x'), 'old', 'b cannot have heard of it');
  world.net.healAll();
  await world.advance(60_000);
  for (const { store } of [a, b, c])
    assert.equal(store.snapshot.value('userspace/x'), null, `${store.me} has it again`);
  for (const daemon of [a, b, c]) daemon.stop();
}

/** A host that was alone for a while comes back over a slow line: its `alive` must not arrive before what it wrote meanwhile. */
export async function comingBack(world, mutate = () => {}) {
  const [a, b] = await cluster(world, 2, { mutate });
  world.net.slow('a', 'b', { latency: { minUs: 50_000, maxUs: 150_000 } });
  world.net.cut('a', 'b');
  await world.advance(30_000);
  const path = paths.node('a', 'emergency');
  // More than one bucket of names, so that the comparison takes a few questions.
  for (let i = 0; i < 200; i++) a.store.write(`userspace/${i}`, '1');
  a.store.write(path, '4');
  const stampNs = a.store.snapshot.stampNs(path);
  world.net.healAll();
  for (let i = 0; i < 500; i++) {
    a.round();
    await world.advance(10);
    const aliveNs = b.store.snapshot.stampNs(paths.node('a', 'alive')) ?? 0n;
    if (aliveNs > stampNs) assert.equal(b.store.snapshot.value(path), '4', 'alive has overtaken the rest');
  }
  assert.equal(b.store.snapshot.value(path), '4');
  for (const daemon of [a, b]) daemon.stop();
}

/**
 * `d` reaches `a` only through others: one of them has left what `d` wrote to the other one, who is slow, and hears `alive` first.
 */
export async function twoWays(world, mutate = () => {}) {
  const daemons = await cluster(world, 4, { mutate });
  const [a, , c, d] = daemons;
  for (const name of ['a', 'b', 'c']) world.net.cut('d', name);
  await world.advance(40_000);
  const path = paths.node('d', 'emergency');
  d.store.write(path, '4');
  const stampNs = d.store.snapshot.stampNs(path);
  world.net.slow('a', 'b', { latency: { minUs: 3_000_000, maxUs: 3_000_000 } });
  world.net.heal('d', 'b');
  const look = () => {
    const aliveNs = a.store.snapshot.stampNs(paths.node('d', 'alive')) ?? 0n;
    if (aliveNs > stampNs)
      assert.equal(a.store.snapshot.value(path), '4', 'alive has come by another way than the rest');
    return aliveNs > stampNs;
  };
  while (c.store.snapshot.value(path) !== '4') await world.advance(1);
  world.net.heal('d', 'c');
  for (let i = 0; i < 1_000; i++) {
    if (i % 10 === 0) d.round();
    await world.advance(10);
    look();
  }
  assert.ok(look(), 'alive has never come');
  for (const daemon of daemons) daemon.stop();
}
