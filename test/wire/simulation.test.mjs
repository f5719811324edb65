// Peer links in the seeded world: partitions, crashes, resets, one-way networks, clocks that are wrong.
import assert from 'node:assert/strict';
import { World, simCredentials, simFingerprint } from '@mars/sim';
import { PeerNet, defineStruct, t } from '@mars/wire';
import { Facts, captureLog } from './cluster.kit.mjs';

const TICK = defineStruct('test.tick', { number: t.int });
const PORT = 7777;

/** A world of hosts that have boots: everything is made again after a crash. */
class LinkWorld {
  hosts = new Map();

  constructor(seed, names, { authority = 'c1' } = {}) {
    this.world = new World({ seed });
    this.facts = new Facts();
    for (const name of names) this.add(name, authority);
  }

  add(name, authority) {
    const credentials = simCredentials(authority, name);
    this.facts.ips.set(name, name);
    this.facts.pins.set(name, simFingerprint(credentials));
    const state = { name, credentials, log: captureLog(), links: new Map(), ups: 0, downs: 0, got: [], accepted: 0 };
    this.hosts.set(name, state);
    state.host = this.world.addHost(name, { boot: (host) => this.boot(host, state) });
  }

  async boot(host, state) {
    state.links.clear();
    state.net = new PeerNet({
      net: host.secureNet,
      clock: host.loop,
      random: host.random,
      log: state.log,
      stamps: { now: () => host.loop.wallNs(), seen: () => {} },
      host: state.name,
      version: 'sim',
      identity: { kind: 'member', credentials: state.credentials, successions: [] },
      facts: this.facts,
    });
    state.net.serve('tree', (channel) => this.take(state, channel));
    await state.net.listen({ host: '::', port: PORT });
    for (const peer of this.hosts.keys()) {
      if (peer === state.name) continue;
      const link = state.net.link(peer, { host: peer, port: PORT }, 'tree', {
        up: (channel) => {
          state.ups++;
          this.take(state, channel);
          channel.send(TICK, { number: state.ups });
        },
        down: () => state.downs++,
      });
      state.links.set(peer, link);
      link.start();
    }
  }

  take(state, channel) {
    state.accepted++;
    channel.on(TICK, ({ number }) => state.got.push([channel.remote.host, number]));
    channel.start();
  }

  get allUp() {
    return [...this.hosts.values()].every(
      ({ host, links }) => host.isUp && [...links.values()].every(({ status }) => status.state === 'up'),
    );
  }
}

describe('peer links in the simulated world', function () {
  this.timeout(60_000);

  it('are all up soon after the start, and carry messages', async () => {
    for (let seed = 0; seed < 20; seed++) {
      const links = new LinkWorld(seed, ['a', 'b', 'c']);
      await links.world.advance(2_000);
      assert.ok(links.allUp, `seed ${seed}`);
      for (const { got, ups } of links.hosts.values()) {
        assert.equal(ups, 2);
        assert.equal(got.length, 2);
      }
    }
  });

  it('come back by themselves after partitions, resets, stalls and crashes, and never twice', async () => {
    for (let seed = 0; seed < 30; seed++) {
      const links = new LinkWorld(seed, ['a', 'b', 'c', 'd']);
      const { world, hosts } = links;
      const random = world.randomFor('test');
      const pick = () => [...hosts.keys()][random.int(4)];
      for (let i = 0; i < 12; i++) {
        const [one, other] = [pick(), pick()];
        const what = random.int(5);
        if (what === 0 && one !== other) world.net.cut(one, other, { oneWay: random.int(2) === 0 });
        else if (what === 1 && one !== other) world.net.reset(one, other);
        else if (what === 2 && hosts.get(one).host.isUp) hosts.get(one).host.crash(random.int(2) ? 'power' : 'process');
        else if (what === 3 && !hosts.get(one).host.isUp) hosts.get(one).host.restart();
        else if (one !== other) world.net.stall(one, other, 3_000);
        await world.advance(random.int(20_000));
      }
      world.net.healAll();
      for (const { host } of hosts.values()) if (!host.isUp) host.restart();
      await world.advance(40_000);
      assert.ok(links.allUp, `seed ${seed}`);
      for (const { net } of hosts.values()) assert.ok(net.channels.length <= 2 * 3, `seed ${seed}: leaked channels`);
    }
  });

  it('wait longer from time to time for a host that is away, and try at once when they are told', async () => {
    const links = new LinkWorld(5, ['a', 'b']);
    const { world, hosts } = links;
    await world.advance(1_000);
    hosts.get('b').host.crash('power');
    await world.advance(120_000);
    const link = hosts.get('a').links.get('b');
    const { attempts, state, lastError } = link.status;
    assert.ok(attempts > 8 && attempts < 40, `${attempts} attempts in two minutes`);
    assert.notEqual(state, 'up');
    assert.equal(lastError.code, 'SOCKET');
    const warnings = hosts.get('a').log.records.filter(({ level }) => level === 'warn');
    assert.ok(warnings.length <= 3, 'a host that is away does not fill the log');
    hosts.get('b').host.restart();
    await world.advance(20);
    link.kick();
    await world.advance(20);
    assert.equal(link.status.state, 'up');
  });

  it('work when only one side can connect', async () => {
    const links = new LinkWorld(6, ['a', 'b']);
    const { world, hosts } = links;
    hosts.get('b').links.get('a')?.stop();
    await world.advance(1_000);
    for (const link of hosts.get('b').links.values()) link.stop();
    await world.advance(5_000);
    assert.equal(hosts.get('b').net.channels.length, 1);
    assert.equal(hosts.get('b').net.channels[0].remote.host, 'a');
  });

  it('go to another address when they are told', async () => {
    const links = new LinkWorld(7, ['a', 'b', 'c']);
    const { world, hosts } = links;
    await world.advance(1_000);
    const a = hosts.get('a');
    const link = a.links.get('b');
    link.setAddress({ host: 'c', port: PORT });
    await world.advance(1_000);
    assert.equal(link.status.state === 'up', false);
    assert.equal(link.status.lastError.details.reason, 'wrong-host');
    link.setAddress({ host: 'b', port: PORT });
    await world.advance(1_000);
    assert.equal(link.status.state, 'up');
    assert.deepEqual([a.downs, a.ups], [1, 3]);
  });

  it('do not come up with a host that was removed, and do as soon as it is a member again', async () => {
    const links = new LinkWorld(8, ['a', 'b']);
    const { world, hosts, facts } = links;
    await world.advance(1_000);
    facts.ips.delete('b');
    hosts.get('a').net.recheck();
    await world.advance(10_000);
    assert.equal(hosts.get('a').net.channels.length + hosts.get('b').net.channels.length, 0);
    assert.equal(hosts.get('b').links.get('a').status.lastError.details.reason, 'no-member');
    facts.ips.set('b', 'b');
    await world.advance(10_000);
    assert.ok(links.allUp);
  });

  it('stop without a trace', async () => {
    const links = new LinkWorld(9, ['a', 'b']);
    const { world, hosts } = links;
    await world.advance(1_000);
    for (const { net } of hosts.values()) await world.drive(net.close());
    await world.advance(20_000);
    for (const { host } of hosts.values())
      assert.deepEqual(world.net.open(host.name), { connections: 0, listeners: 0 });
    // Who stops is not told that he has stopped; the other one is.
    assert.deepEqual([...hosts.values()].map(({ downs }) => downs), [0, 1]); // prettier-ignore
  });

  it('refuse as the real ones do: foreign, expired, no certificate, no TLS', async () => {
    const links = new LinkWorld(10, ['a', 'b']);
    const { world, hosts } = links;
    await world.advance(1_000);
    const { host } = hosts.get('b');
    const address = { host: 'a', port: PORT };
    const as = (credentials) => host.secureNet.connect(address, { kind: 'member', credentials });
    const reasonOf = (promise) => promise.then(() => 'in', ({ details }) => details.reason); // prettier-ignore
    assert.equal(await reasonOf(world.drive(as(simCredentials('c2', 'b')))), 'foreign-authority');
    assert.equal(await reasonOf(world.drive(host.secureNet.connect(address, { kind: 'joining', serverFingerprintHex: 'x' }))), 'wrong-certificate'); // prettier-ignore
    const late = await world.drive(as(simCredentials('c1', 'b', { expiresMs: 1 })));
    let isReset = false;
    late.onClose((error) => (isReset = error !== undefined));
    await world.advance(100);
    assert.deepEqual([isReset, hosts.get('a').net.refusals.expired], [true, 1]);
    const plain = await world.drive(host.secureNet.connect(address, { kind: 'plain' }));
    plain.write(Buffer.from('GET /'));
    await world.advance(100);
    assert.equal(hosts.get('a').net.refusals['no-tls'], 1);
    const silent = await world.drive(host.secureNet.connect(address, { kind: 'plain' }));
    let isClosed = false;
    silent.onClose(() => (isClosed = true));
    silent.onData(() => {});
    await world.advance(11_000);
    assert.ok(isClosed);
    assert.equal(hosts.get('a').net.refusals.timeout, 1);
  });

  it('play the same seed the same way', async () => {
    const trace = async () => {
      const links = new LinkWorld(11, ['a', 'b', 'c']);
      await links.world.advance(1_000);
      links.world.net.cut('a', 'b');
      await links.world.advance(20_000);
      links.world.net.healAll();
      await links.world.advance(20_000);
      return links.world.trace.hash;
    };
    const [one, two] = [await trace(), await trace()];
    assert.match(one, /[0-9a-f]{8}/);
    assert.deepEqual(one, two);
  });
});
