// A cluster under load: join and sync, a cut network, handover, rotation, killed daemons, a forced switch and its split brain. In the end
// the disks of all members are equal, byte for byte.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Hosts, sleep, until, whyNoHosts } from './hosts.mjs';

const DISK_BYTES = 64 * 1024 * 1024;
const RES = 'mydata';
const WINDOW = '--window=2';

const why = whyNoHosts() || (spawnSync('fio', ['--version']).status === 0 ? '' : 'fio is missing');

describe(why === '' ? 'a replicated disk' : `a replicated disk (skipped: ${why})`, function () {
  this.timeout(180_000);
  let hosts;
  let a, b;

  before(async function () {
    if (why !== '') return this.skip();
    hosts = await Hosts.make(['nodea', 'nodeb']);
    await hosts.makeCluster();
    [a, b] = hosts.all;
    for (const host of hosts.all) {
      host.disk = path.join(host.dir, 'disk.img');
      fs.closeSync(fs.openSync(host.disk, 'w', 0o600));
      fs.truncateSync(host.disk, DISK_BYTES);
    }
  });
  after(() => hosts?.close());

  afterEach(async function () {
    if (this.currentTest.state === 'failed')
      for (const host of hosts.all)
        console.log(`--- ${host.name}\n${host.log().split('\n').slice(-12).join('\n')}\n${describeHost(host)}`);
    if (hosts !== undefined) await hosts.heal();
  });

  const link = (host, name) => host.link(`resource-${RES}/${name}`);
  const led = (host, name) => link(host, `actual-${host.name}/${name}`);
  const describeHost = (host) =>
    [`replay-${host.name}`, `syncstatus-${host.name}`, 'primary']
      .map((name) => `${name} ${link(host, name)}`)
      .join('\n');
  const device = (host) => until(`the device is there on ${host.name}`, () => led(host, 'if-on') === '1');
  const adm = (host, ...args) => host.adm(WINDOW, '--timeout=60', '--yes', ...args);

  /** Random writes through the NBD socket. @returns a promise of its end; `mayFail` when its server is about to die */
  async function write(host, { mebi, seconds = 0, mayFail = false }) {
    const uri = `nbd+unix:///${RES}?socket=${host.env.MARS_RUN}/nbd/${RES}.sock`;
    const args = ['--name=w', '--ioengine=nbd', `--uri=${uri}`, '--rw=randwrite', '--bsrange=4k-64k', '--iodepth=16'];
    const amount = seconds > 0 ? ['--time_based', `--runtime=${seconds}`, '--rate=4m'] : [`--io_size=${mebi}M`];
    const seed = (write.seed = (write.seed ?? 0) + 1);
    const more = [`--size=${DISK_BYTES}`, ...amount, '--end_fsync=1', `--randseed=${seed}`];
    // A client whose server has died complains for ever.
    const command = mayFail
      ? ['sh', ['-c', `timeout -s KILL ${seconds} fio "$@" >/dev/null 2>&1`, 'sh', ...args, ...more]]
      : ['fio', [...args, ...more]];
    const result = await host.exec(...command, { timeoutMs: 60_000 });
    if (!mayFail) assert.equal(result.code, 0, result.out + result.err);
  }

  /** All members have replayed the same log to the same end, and it is on their disks. */
  async function equal() {
    const [first, ...others] = hosts.all;
    await until('both have replayed everything', () => {
      const at = link(first, `replay-${first.name}`);
      const hasSynced = hosts.all.every((host) => link(host, `syncstatus-${host.name}`) === String(DISK_BYTES));
      return hasSynced && at?.endsWith(',0') && others.every((host) => link(host, `replay-${host.name}`) === at);
    });
    const read = (host) => fs.readFileSync(host.disk);
    await until('the disks are equal', () => others.every((host) => read(first).equals(read(host))), 20_000);
  }

  it('is joined and synced while its primary is written', async () => {
    await adm(a, 'create-resource', RES, a.disk);
    await device(a);
    await write(a, { mebi: 16 });
    const load = write(a, { mebi: 24 });
    await adm(b, 'join-resource', RES, b.disk);
    await load;
    await equal();
  });

  it('follows by itself after the network was cut while it was written', async () => {
    await hosts.cut(['nodea'], ['nodeb']);
    await write(a, { mebi: 16 });
    const before = link(b, 'replay-nodeb');
    await sleep(500);
    assert.equal(link(b, 'replay-nodeb'), before);
    await hosts.heal();
    await equal();
  });

  it('is handed over and back, and written in between', async () => {
    for (const host of [b, a, b, a]) {
      await adm(host, 'primary', RES);
      await device(host);
      await write(host, { mebi: 4 });
    }
    await equal();
  });

  it('refuses a handover while the device is open', async () => {
    const load = write(a, { seconds: 5 });
    await until('the device is open', () => Number(led(a, 'open-count')) > 0);
    const refused = await b.marsadm(WINDOW, 'primary', RES);
    assert.notEqual(refused.code, 0);
    assert.match(refused.out + refused.err, /umount\/close the device/);
    await load;
    assert.equal(led(a, 'is-primary'), '1');
    await equal();
  });

  it('goes over to a new log under load', async () => {
    const load = write(a, { seconds: 3 });
    await adm(a, 'log-rotate', RES);
    await load;
    await equal();
  });

  it('loses nothing when either daemon is killed under load', async () => {
    for (const victim of [b, a]) {
      const load = write(a, { seconds: 4, mayFail: victim === a });
      await until('the device is open', () => Number(led(a, 'open-count')) > 0);
      await sleep(400);
      await victim.kill();
      await load;
      await victim.start();
      await device(a);
      await equal();
    }
  });

  it('survives a forced switch: the split brain is seen, and ends with invalidate', async () => {
    await hosts.cut(['nodea'], ['nodeb']);
    await write(a, { mebi: 4 });
    await adm(b, 'disconnect', RES);
    await adm(b, '--force', 'primary', RES);
    await device(b);
    await write(b, { mebi: 4 });
    await hosts.heal();
    await until('both know who is to be primary', () => link(a, 'primary') === 'nodeb' && led(a, 'is-primary') === '0');
    await adm(b, 'connect', RES);
    await until('the split brain is reported', () => /split brain/.test(led(a, 'msg-err-splitbrain-detected') ?? ''));
    await adm(a, 'invalidate', RES);
    await write(b, { mebi: 4 });
    await equal();
  });
});
