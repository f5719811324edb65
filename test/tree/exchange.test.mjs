// The exchange between daemons, point by point, in the seeded world.
import assert from 'node:assert/strict';
import {
  LamportClock,
  NS_PER_SECOND,
  TOMBSTONE,
  TreeWatch,
  collectTombstones,
  formatStamp,
  paths,
} from '@mars/mars-tree';
import { World, simulateScenario } from '@mars/sim';
import { defineStruct, t } from '@mars/wire';
import { ASK, ANSWER, HELLO, PUSH } from '../../packages/mars-tree/dist/exchange/messages.js';
import { openStore } from './stores.kit.mjs';
import { SimDaemon, admit, contentOf, makeMembers, peerNetOf, PORT } from './exchange.kit.mjs';
import { cluster, comingBack, inSync, lateDeletion, twoWays } from './exchange-stories.kit.mjs';
import { treeExchange } from './exchange.scenario.mjs';

const SIZE = paths.size('r');

describe('the exchange of facts', () => {
  simulateScenario(treeExchange);

  let world;
  beforeEach(() => void (world = new World({ seed: 7 })));
  afterEach(() => world.close());

  const until = (isThere) => world.run({ until: isThere, maxVirtualMs: 60_000 });
  const statusOf = (daemon, host) => daemon.exchange.status().find((status) => status.host === host);

  it('collects a deletion that arrives late only when everybody has heard of it', () => lateDeletion(world));

  it('never lets alive overtake what was written before', () => comingBack(world));

  it('never lets alive come by another way than what was written before', () => twoWays(world));

  it('shows a change on all other hosts within 0.2 s, and several at once as one', async () => {
    const daemons = await cluster(world, 5);
    const [a] = daemons;
    const startMs = world.nowMs;
    a.store.write(SIZE, '4096');
    await until(() => daemons.every(({ store }) => store.snapshot.value(SIZE) === '4096'));
    assert.ok(world.nowMs - startMs < 200, `${world.nowMs - startMs} ms`);
    const before = statusOf(a, 'b').pushed;
    for (let i = 0; i < 100; i++) a.store.write(SIZE, String(i));
    await world.advance(200);
    assert.equal(daemons[1].store.snapshot.value(SIZE), '99');
    assert.ok(statusOf(a, 'b').pushed - before <= 5);
  });

  it('shows what marsadm writes on one host to the daemons of all others within 0.2 s', async () => {
    const daemons = await cluster(world, 3, { program: 'daemon' });
    const [a, b, c] = daemons;
    const watch = new TreeWatch({ store: a.store, files: a.host.files, clock: a.host.loop });
    a.host.run(() => watch.start());
    await world.advance(1_000);
    const marsadm = openStore(a.host, { program: 'marsadm', temporaryPrefix: '.tmp.4711.' });
    const startMs = world.nowMs;
    marsadm.writeTogether([
      { path: SIZE, value: '4096' },
      { path: paths.primary('r'), value: 'a' },
    ]);
    const isThere = ({ store }) => store.snapshot.value(SIZE) === '4096' && store.snapshot.primary('r') === 'a';
    await until(() => isThere(b) && isThere(c));
    assert.ok(world.nowMs - startMs < 200, `${world.nowMs - startMs} ms`);
    watch.stop();
  });

  it('shows a change within 2 s after a partition has healed', async () => {
    const [a, b] = await cluster(world, 2);
    world.net.cut('a', 'b');
    a.store.write(SIZE, '4096');
    b.store.write('userspace/x', '1');
    await world.advance(60_000);
    assert.equal(statusOf(a, 'b').state === 'in-sync', false);
    world.net.healAll();
    const startMs = world.nowMs;
    await until(() => b.store.snapshot.value(SIZE) === '4096' && a.store.snapshot.value('userspace/x') === '1');
    const tookMs = world.nowMs - startMs;
    assert.ok(tookMs < 2_000, `${tookMs} ms`);
  });

  it('sends next to nothing while nothing happens', async () => {
    const daemons = await cluster(world, 4);
    for (let r = 0; r < 20; r++) daemons[0].store.write(paths.size(`r${r}`), '4096');
    await world.advance(60_000);
    const before = daemons.map(({ exchange }) => exchange.status());
    await world.advance(120_000);
    for (const [i, { exchange }] of daemons.entries()) {
      for (const [j, status] of exchange.status().entries()) {
        const sent = status.sentBytes - before[i][j].sentBytes;
        const pushed = status.pushed - before[i][j].pushed;
        assert.ok(pushed <= 2 * 25, `${pushed} facts: time and alive, every five seconds`);
        assert.ok(sent < 120 * 100, `${sent} bytes in two minutes`);
      }
    }
  });

  it('uses one connection per pair, also when both open one at the same moment, and both sides choose the same', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const each = new World({ seed });
      const [a, b] = await cluster(each, 2);
      await each.advance(5_000);
      assert.equal(a.net.channels.length, 1);
      assert.equal(b.net.channels.length, 1);
      assert.notEqual(statusOf(a, 'b').opened, statusOf(b, 'a').opened);
      each.close();
    }
  });

  it('is back within seconds when only one side has noticed that the connection is dead', async () => {
    for (const who of ['a', 'b']) {
      const each = new World({ seed: 3 });
      const [a, b] = await cluster(each, 2);
      await each.advance(6_000);
      each.net.halfOpen(who, who === 'a' ? 'b' : 'a');
      const startMs = each.nowMs;
      a.store.write(SIZE, '4096');
      b.store.write('userspace/x', '1');
      const isThere = () => b.store.snapshot.value(SIZE) === '4096' && a.store.snapshot.value('userspace/x') === '1';
      await each.run({ until: isThere, maxVirtualMs: 60_000 });
      assert.ok(each.nowMs - startMs < 5_000, `${each.nowMs - startMs} ms`);
      each.close();
    }
  });

  it('works when only one side can open a connection, and through a third host when neither can', async () => {
    const mayDial = (_from, ip) => ip === '10.0.0.1';
    const daemons = await cluster(world, 1, { mayDial });
    for (const name of ['b', 'c']) {
      const host = world.addHost(name);
      host.files.makeDir('/mars');
      const daemon = new SimDaemon(host, { mayDial });
      daemons.push(daemon);
    }
    for (const { store } of daemons) makeMembers(store, world.hosts);
    for (const daemon of daemons.slice(1)) daemon.host.run(() => daemon.start());
    await until(() => statusOf(daemons[0], 'b')?.state === 'in-sync' && statusOf(daemons[0], 'c')?.state === 'in-sync');
    const [a, b, c] = daemons;
    assert.equal(statusOf(a, 'b').opened, 'there');
    assert.equal(statusOf(b, 'c').state, 'connecting');
    b.store.write(SIZE, '4096');
    const startMs = world.nowMs;
    await until(() => c.store.snapshot.value(SIZE) === '4096');
    assert.ok(world.nowMs - startMs < 400, `${world.nowMs - startMs} ms`);
    c.store.delete(SIZE);
    await until(() => b.store.snapshot.value(SIZE) === null);
    await until(() => (b.store.snapshot.stampNs(paths.node('c', 'alive')) ?? 0n) > 0n);
  });

  it('changes not a single byte on either side when identities differ, and says why', async () => {
    for (const name of ['a', 'b']) world.addHost(name).files.makeDir('/mars');
    const daemons = world.hosts.map((host) => new SimDaemon(host));
    for (const [i, { store }] of daemons.entries()) makeMembers(store, world.hosts, `a_170000000${i}.000000000`);
    daemons[0].store.write(SIZE, '4096');
    const before = daemons.map(({ store }) => contentOf(store));
    for (const { exchange, net, host } of daemons) {
      exchange.start();
      await world.drive(net.listen({ host: host.ip, port: PORT }));
    }
    await world.advance(20_000);
    assert.deepEqual(
      daemons.map(({ store }) => contentOf(store)),
      before,
    );
    assert.equal(statusOf(daemons[0], 'b').lastError.code, 'PEER_REFUSED');
    // (any) fits both ways: that is how a host joins.
    daemons[1].store.write('uuid', '(any)');
    daemons[0].store.write('uuid', 'a_1700000000.000000000');
    await until(() => daemons[1].store.snapshot.value(SIZE) === '4096');
    assert.equal(daemons[1].store.snapshot.value('uuid'), 'a_1700000000.000000000');
  });

  it('drops lists of a host that has no identity, which takes that of the others, and loses nothing by it', async () => {
    const [a, b] = await cluster(world, 2);
    b.store.forget('uuid', b.store.snapshot.entry('uuid'));
    b.store.write('userspace/x', '1');
    await world.advance(1_000);
    assert.equal(a.store.snapshot.value('userspace/x'), null);
    assert.ok(a.exchange.peers.get('b').counts.refusedLists > 0);
    await until(() => b.store.snapshot.value('uuid') !== null && a.store.snapshot.value('userspace/x') === '1');
  });

  it('opens connections to hosts that come, and closes those of hosts that go', async () => {
    const [a, b] = await cluster(world, 2);
    const c = world.addHost('c');
    c.files.makeDir('/mars');
    const third = new SimDaemon(c);
    makeMembers(third.store, world.hosts);
    c.run(() => third.start());
    admit(a.store, c, a.store.clock.now());
    // b hears of it from a.
    await until(() => statusOf(b, 'c')?.state === 'in-sync' && statusOf(a, 'c')?.state === 'in-sync');
    a.store.delete(paths.ip('c'));
    await until(() => statusOf(b, 'c') === undefined && statusOf(a, 'c') === undefined);
    await world.advance(1_000);
    assert.equal(a.net.channels.length, 1);
    third.store.write('userspace/too-late', '1');
    a.dialed.length = b.dialed.length = 0;
    await world.advance(20_000);
    assert.deepEqual([a.dialed, b.dialed], [[], []], 'nobody knocks at a host that has gone');
    assert.equal(a.store.snapshot.value('userspace/too-late'), null);
  });

  it('waits for a slow line instead of filling memory, and brings the newest values when there is room', async () => {
    const [a, b] = await cluster(world, 2);
    world.net.slow('a', 'b', { bytesPerSecond: 200_000 });
    // What cannot be compressed.
    const noise = () => Array.from({ length: 100 }, () => world.random.int(2 ** 31).toString(36)).join('');
    let queued = 0;
    let waiting = 0;
    for (let i = 0; i < 60; i++) {
      a.store.batch(() => {
        for (let k = 0; k < 100; k++) a.store.write(`userspace/${k + 100 * (i % 10)}`, noise());
      });
      await world.advance(20);
      queued = Math.max(queued, a.net.channels[0].stats.queuedBytes);
      waiting = Math.max(waiting, statusOf(a, 'b').waiting);
    }
    assert.ok(waiting > 500, `${waiting} facts`);
    assert.ok(queued > 0 && queued < 2 * 1024 * 1024, `${queued} bytes`);
    await until(
      () => statusOf(a, 'b').waiting === 0 && withoutPulse(contentOf(b.store)) === withoutPulse(contentOf(a.store)),
    );
    assert.ok(statusOf(a, 'b').pushed < 5_000, 'some were replaced by newer ones before there was room');
  });

  it('turns away a host that it does not know, although its certificate is good', async () => {
    const [a] = await cluster(world, 1);
    let why;
    const channel = { remote: { host: 'z' }, start() {}, close: (reason) => (why = reason) };
    a.exchange.peers.accept(channel);
    assert.equal(why.code, 'PEER_REFUSED');
    assert.match(why.hint, /ips\/ip-z/);
    assert.equal(a.exchange.isUp('z'), false);
  });

  it('compares again with everybody on demand, also what is known to differ without meaning', async () => {
    const [a, b] = await cluster(world, 2);
    // A tombstone of something that b never had.
    a.store.merge({ path: 'userspace/x', value: '1', stampNs: 5n });
    a.store.merge({ path: 'userspace/x', value: TOMBSTONE, stampNs: 6n });
    await world.advance(90_000);
    assert.ok(b.exchange.peers.get('a').settled.size > 0);
    const bytes = statusOf(b, 'a').receivedBytes;
    b.exchange.compare();
    await world.advance(1_000);
    const little = statusOf(b, 'a').receivedBytes - bytes;
    b.exchange.compare({ fully: true });
    await world.advance(1_000);
    assert.ok(statusOf(b, 'a').receivedBytes - bytes - little > little);
    assert.equal(b.exchange.isUp('a'), true);
  });

  it('goes to a new address', async () => {
    const [a, b] = await cluster(world, 2);
    a.store.write(paths.ip('b'), '10.0.0.77');
    world.net.reset('a', 'b');
    await world.advance(10_000);
    assert.equal(statusOf(a, 'b').address, '10.0.0.77:7777');
    assert.equal(statusOf(a, 'b').state, 'in-sync', 'b can still reach a');
    assert.equal(statusOf(b, 'a').opened, 'here');
  });

  it('writes pushed links with the stamp of the command, and refuses those that lead out of the tree', async () => {
    const [a, b] = await cluster(world, 2);
    const push = (path, value) => world.drive(a.exchange.pushLink('b', path, value));
    assert.equal(await push('/mars/resource-r/data-a', '/dev/vg/x'), null);
    assert.equal(b.store.snapshot.value('resource-r/data-a'), '/dev/vg/x');
    assert.equal(b.store.snapshot.value(paths.cacheInvalid('b')), '1');
    for (const [path, value] of [
      ['/etc/passwd', 'x'],
      ['/mars/../etc/x', 'x'],
      ['/mars/userspace/x', '/etc/passwd'],
      ['/mars/.trust/ca.crt', 'x'],
    ]) {
      assert.match(await push(path, value), /path|value/);
    }
    // The receiver does not rely on the sender's manners.
    const peer = a.exchange.peers.get('b');
    const refused = ['/etc/passwd', '/mars/.trust/x', '/mars/cache-b/invalid', '/mars/actual-b/read-stamp'];
    const replies = await world.drive(Promise.all(refused.map((path) => peer.push(path, 'x', 5n, Infinity))));
    for (const reply of replies) assert.match(reply, /path/);
    assert.match(await world.drive(a.exchange.pushLink('nobody', '/mars/userspace/x', '1')), /no host nobody/);
  });

  it('gives a push up when the peer does not come back', async () => {
    const [a] = await cluster(world, 2);
    world.net.cut('a', 'b');
    await world.advance(30_000);
    const startMs = world.nowMs;
    assert.match(await world.drive(a.exchange.pushLink('b', '/mars/userspace/x', '1')), /has not answered/);
    assert.ok(world.nowMs - startMs < 12_000);
  });

  it('compares at once when a peer lacks what somebody asks about', async () => {
    const [a, b] = await cluster(world, 2);
    const before = statusOf(b, 'a').comparisons;
    assert.equal(await world.drive(a.exchange.pushCheck('b', '/mars/uuid')), null);
    await world.advance(1_000);
    assert.equal(statusOf(b, 'a').comparisons, before, 'it has that');
    assert.equal(await world.drive(a.exchange.pushCheck('b', '/mars/resource-new/size')), null);
    await world.advance(1_000);
    assert.ok(statusOf(b, 'a').comparisons > before);
  });

  it('notifies peers, at most five times a second', async () => {
    const heard = [];
    const [a] = await cluster(world, 2, (host) => ({ notified: (peer) => heard.push(`${host.name} by ${peer}`) }));
    for (let i = 0; i < 50; i++) {
      a.host.loop.after(0, a.exchange, (exchange) => exchange.notify());
      await world.advance(20);
    }
    await world.advance(100);
    assert.ok(heard.length >= 4 && heard.length <= 6, heard.join());
    assert.equal(heard[0], 'b by a');
  });

  it('announces logs with their durable sizes to those who take part in the resource, and growth soon', async () => {
    const sizes = new Map([['log-000000001-a', 100]]);
    const heard = [];
    const daemons = await cluster(world, 3, (host) => ({
      logSizes: {
        durableBytes: (_resource, { sequence, host: of }) =>
          host.name === 'a' ? (sizes.get(`log-00000000${sequence}-${of}`) ?? null) : null,
      },
      logsChanged: (peer, resource) => heard.push(`${host.name}: ${resource} of ${peer}`),
    }));
    const [a, b, c] = daemons;
    a.store.write(paths.size('r'), '4096');
    a.store.write(paths.device('r', 'a'), 'r');
    a.host.files.writeFile('/mars/resource-r/log-000000001-a', 'x'.repeat(500));
    a.store.refresh('resource-r/log-000000001-a');
    await world.advance(1_000);
    assert.deepEqual(b.exchange.logsOf('a', 'r'), [], 'b takes no part');
    b.store.write(paths.device('r', 'b'), 'r');
    await until(() => b.exchange.logsOf('a', 'r').length > 0);
    assert.deepEqual(b.exchange.logsOf('a', 'r'), [{ sequence: 1, host: 'a', durableBytes: 100 }]);
    sizes.set('log-000000001-a', 300);
    a.exchange.logGrew('r', 'log-000000001-a');
    await world.advance(200);
    assert.equal(b.exchange.logsOf('a', 'r')[0].durableBytes, 300);
    assert.deepEqual(c.exchange.logsOf('a', 'r'), []);
    // A broken connection costs nothing when nothing has changed.
    heard.length = 0;
    world.net.reset('a', 'b');
    await world.advance(10_000);
    assert.deepEqual(heard, []);
    assert.equal(b.exchange.logsOf('a', 'r')[0].durableBytes, 300);
    a.store.delete('resource-r/log-000000001-a');
    await world.advance(300);
    assert.deepEqual(b.exchange.logsOf('a', 'r'), []);
    b.store.delete(paths.device('r', 'b'));
    assert.deepEqual(b.exchange.logsOf('a', 'r'), []);
  });

  it('writes read-stamp, cache-ME/invalid and the triggers of systemd', async () => {
    const [a, b] = await cluster(world, 2);
    await world.advance(6_000);
    const readNs = b.exchange.readStampOf('a');
    assert.ok(readNs > 0n);
    const written = b.store.snapshot.value('actual-a/read-stamp');
    assert.ok(written !== null && written <= formatStamp(readNs));
    assert.equal(a.store.snapshot.value('actual-a/read-stamp'), null, 'it stays where it was written');
    assert.equal(b.store.snapshot.value(paths.cacheInvalid('b')), null);
    a.store.write(paths.device('r', 'a'), 'r');
    a.store.write(paths.primary('r'), 'a');
    a.store.write('userspace/primary-x', 'a');
    await world.advance(500);
    assert.equal(b.store.snapshot.value(paths.cacheInvalid('b')), '1');
    assert.match(Buffer.from(b.host.files.readFile('/mars/resource-r/systemd-trigger')).toString(), /^\d+\.\d{9}\n$/);
    assert.equal(b.host.files.readFile('/mars/userspace/systemd-trigger'), null);
  });

  it('goes on when a disk is full, and catches up when it is not', async () => {
    const [a, b] = await cluster(world, 2);
    const fault = b.host.disk.fault({ on: ['meta'], errno: 28, nth: 1 });
    for (let i = 0; i < 30; i++) a.store.write(`userspace/${i}`, '1');
    await world.advance(2_000);
    assert.ok(fault.hits > 0);
    assert.ok(statusOf(b, 'a').outcomes.failed > 0);
    assert.equal(statusOf(b, 'a').state, 'in-sync');
    await until(() =>
      Array.from({ length: 30 }, (_, i) => `userspace/${i}`).every((path) => b.store.snapshot.value(path) === '1'),
    );
  });

  it('collects by a list of tombstones what it collects by looking at everything', async () => {
    const host = world.addHost('a');
    host.files.makeDir('/mars');
    const store = openStore(host, { program: 'marsadm' });
    makeMembers(store, world.hosts);
    const stampNs = 1_690_000_000n * NS_PER_SECOND;
    const value = TOMBSTONE;
    for (const path of [
      'gone',
      'ips/ip-z',
      'userspace/x',
      'a/b/c',
      'a/b/c2/d',
      'resource-r/x',
      'resource-r/todo-a/y',
      'resource-s/x',
      'resource-r/a/b/c',
    ]) {
      store.merge({ path, value: '1', stampNs: stampNs - 1n });
      store.merge({ path, value, stampNs });
    }
    store.merge({ path: paths.device('r', 'a'), value: 'r', stampNs });
    const asked = (options) => {
      const found = [];
      collectTombstones(store, { ...options, isConfirmed: (path) => !found.push(path) });
      return found.sort();
    };
    const among = [...store.snapshot.walk()].filter(({ entry }) => entry.isTombstone).map(({ path }) => path);
    assert.deepEqual(asked({ among }), asked({}));
    assert.deepEqual(asked({ among }), [
      'a/b/c',
      'gone',
      'ips/ip-z',
      'resource-r/todo-a/y',
      'resource-r/x',
      'userspace/x',
    ]);
  });

  it('opens its connections anew when its process stood still', async () => {
    const [a, b] = await cluster(world, 2);
    a.exchange.lastPulseMs -= 60_000;
    await world.advance(2_000);
    await inSync(world, [a, b]);
    assert.equal(statusOf(a, 'b').connections > 1, true);
  });

  it('tells about each peer in a line of JSON', async () => {
    const [a, b] = await cluster(world, 2);
    await world.advance(6_000);
    const lines = a.exchange.peersText().trimEnd().split('\n');
    assert.equal(lines.length, 1);
    const status = JSON.parse(lines[0]);
    assert.equal(status.host, 'b');
    assert.equal(status.state, 'in-sync');
    assert.ok(status.lastContactS < 6 && status.lagS < 6 && status.sentBytes > 0 && status.comparisons > 0);
    assert.equal(status.errors, 0);
    b.host.crash('process');
    await world.advance(3_000);
    assert.notEqual(JSON.parse(a.exchange.peersText()).state, 'in-sync');
    assert.equal(JSON.parse(a.exchange.peersText()).errors, 1);
  });

  it('fills the tree of a new host, thousands of links, and then a change still costs little', async () => {
    const [a] = await cluster(world, 1);
    a.store.batch(() => {
      for (let r = 0; r < 30; r++)
        for (let n = 0; n < 100; n++)
          a.store.write(paths.version(`r${r}`, n, 'a'), `${'0'.repeat(32)},log-${String(n).padStart(9, '0')}-a,0:`);
    });
    const host = world.addHost('b');
    host.files.makeDir('/mars');
    const b = new SimDaemon(host);
    for (const { store } of [a, b]) makeMembers(store, world.hosts);
    host.run(() => b.start());
    await until(() => statusOf(b, 'a')?.state === 'in-sync');
    assert.equal(
      contentOf(b.store)
        .split('\n')
        .filter((line) => line.includes('/version-')).length,
      3_000,
    );
    const before = statusOf(b, 'a');
    await world.advance(3_000);
    a.store.write(paths.size('r3'), '4096');
    await world.advance(500);
    const after = statusOf(b, 'a');
    assert.equal(b.store.snapshot.value(paths.size('r3')), '4096');
    assert.ok(
      after.receivedBytes - before.receivedBytes < 2_000,
      `${after.receivedBytes - before.receivedBytes} bytes`,
    );
  });

  describe('with a peer that is no friend', () => {
    let a;
    let stranger;
    beforeEach(async () => {
      [a] = await cluster(world, 1);
      const host = world.addHost('b');
      host.files.makeDir('/mars');
      const { store } = a;
      admit(store, host, store.clock.now());
      const clock = new LamportClock(host.loop);
      const facts = {
        isMember: () => true,
        fingerprintOf: (name) => store.snapshot.value(`userspace/tls-${name}`),
        renewed() {},
      };
      makeMembers(store, world.hosts);
      const net = peerNetOf(host, { clock, facts });
      stranger = await world.drive(net.connect('a', { host: '10.0.0.1', port: PORT }, 'tree'));
      stranger.error = undefined;
      stranger.onClose((error) => (stranger.error = error));
      stranger.start();
    });

    const ended = () => until(() => stranger.error !== undefined);
    const hello = { uuid: 'a_1700000000.000000000', life: 'x', connected: [] };

    for (const [what, say] of Object.entries({
      'two hellos': () => [
        [HELLO, hello],
        [HELLO, hello],
      ],
      'a hello without a life': () => [[HELLO, { ...hello, life: '' }]],
      'an answer to no question': () => [
        [HELLO, hello],
        [ANSWER, { round: 99, uuid: hello.uuid, nodes: [] }],
      ],
      'a question about nothing': () => [[ASK, { round: 1, isFirst: true, nodes: [] }]],
      'a question about a part that cannot be': () => [
        [
          ASK,
          {
            round: 1,
            isFirst: true,
            nodes: [{ path: '', depth: 77, bucket: -1, hi: 0, lo: 0, knownHi: 0, knownLo: 0 }],
          },
        ],
      ],
      'a list that is too long': () => [
        [
          PUSH,
          {
            uuid: hello.uuid,
            completeNs: 0n,
            facts: Array.from({ length: 9_000 }, () => ({ path: 'x', value: '1', stampNs: 5n })),
          },
        ],
      ],
    })) {
      it(`closes the connection after ${what}, and nothing has changed`, async () => {
        const before = contentOf(a.store);
        for (const [struct, message] of say()) stranger.send(struct, message);
        await ended();
        assert.match(stranger.error.message, /has closed the connection/);
        assert.equal(withoutPulse(contentOf(a.store)), withoutPulse(before));
      });
    }

    it('takes only what can be a key, and nothing that is private, too far ahead, or leads elsewhere', async () => {
      stranger.send(HELLO, hello);
      const stampNs = a.store.clock.peek() + NS_PER_SECOND;
      const paths_ = [
        '../etc/x',
        '/etc/x',
        '.trust/ca.key',
        'a/../../x',
        'userspace/ignore',
        'cache-a/invalid',
        'x\n',
        `userspace/${'n'.repeat(300)}`,
        'a/b/c/d/e/f/g/h',
      ];
      const bad = paths_.map((path) => ({ path, value: '1', stampNs }));
      bad.push(
        { path: 'userspace/far', value: '1', stampNs: stampNs * 2n },
        { path: 'userspace/neg', value: '1', stampNs: -5n },
        { path: 'userspace/empty', value: '', stampNs },
      );
      const before = withoutPulse(contentOf(a.store));
      stranger.send(PUSH, { uuid: hello.uuid, completeNs: 0n, facts: bad });
      await world.advance(100);
      assert.equal(withoutPulse(contentOf(a.store)), before);
      assert.equal(stranger.error, undefined, 'a host of another release may have other keys');
      stranger.send(PUSH, {
        uuid: hello.uuid,
        completeNs: stampNs,
        facts: [{ path: 'userspace/good', value: '1', stampNs }],
      });
      await until(() => a.store.snapshot.value('userspace/good') === '1');
      assert.equal(a.store.snapshot.value('userspace/far'), null);
    });

    it('takes nothing from lists without identity, and skips messages that it does not know', async () => {
      stranger.send(HELLO, hello);
      stranger.send(defineStruct('tree.of-the-future', { x: t.str }), { x: '1' });
      const facts = [{ path: 'userspace/x', value: '1', stampNs: 99n }];
      stranger.send(PUSH, { uuid: '', completeNs: 0n, facts });
      await world.advance(100);
      assert.equal(a.store.snapshot.value('userspace/x'), null);
      stranger.send(PUSH, { uuid: 'other_1.000000000', completeNs: 0n, facts });
      await ended();
      assert.equal(a.store.snapshot.value('userspace/x'), null);
    });

    it('closes a connection that does not answer questions', async () => {
      stranger.send(HELLO, hello);
      await until(() => statusOf(a, 'b').connections > 0);
      await world.advance(50_000);
      assert.equal(stranger.error, undefined);
      await ended();
      assert.match(stranger.error.message, /does not answer/);
    });

    it('closes a connection that never says hello', async () => {
      await ended();
      assert.ok(world.nowMs < 60_000);
    });
  });
});

function withoutPulse(text) {
  return text
    .split('\n')
    .filter((line) => !/^actual-[^/]+\/(time|alive) /.test(line))
    .join('\n');
}
