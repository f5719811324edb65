// The main job: three hosts, one replicated disk, everything that can happen to it in a minute. Each host has namespaces of its own.
import { spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { Hosts, sleep, until } from '../../test/host/hosts.mjs';
import { bar, dim, elapsedSeconds, green, heading, red, say, size, watch, yellow } from './screen.mjs';

const RESOURCE = 'mydata';
const DISK_BYTES = 512 * 1024 * 1024;
/** At most so much of the input is copied: the demo is about replication, not about patience. */
const MAX_INPUT_BYTES = 160 * 1024 * 1024;
/** Roles and dead peers are waited for this long; the original's default is a minute. */
const WINDOW = '--window=3';

export class Demo {
  constructor(hosts, input) {
    Object.assign(this, { hosts, input, checks: [], mounted: null });
    [this.a, this.b, this.c] = hosts.all;
  }

  static async make(input) {
    return new Demo(await Hosts.make(['alpha', 'beta', 'gamma']), input);
  }

  async run() {
    await this.build();
    await this.replicate();
    await this.cutNetwork();
    await this.handOver();
    await this.disaster();
    await this.verify();
    return this.summary();
  }

  // ------------------------------------------------------------------------------------------------------------ the story

  async build() {
    heading('1. Three hosts, a cluster, a resource');
    for (const host of this.hosts.all) {
      host.disk = path.join(host.dir, 'disk.img');
      fs.closeSync(fs.openSync(host.disk, 'w', 0o600));
      fs.truncateSync(host.disk, DISK_BYTES);
    }
    await this.hosts.makeCluster();
    say(`${this.hosts.all.map((h) => `${h.name} ${h.ip}`).join(', ')}: a cluster with its own certificates (TLS 1.3)`);
    await this.adm(this.a, 'create-resource', RESOURCE, this.a.disk);
    await this.deviceAt(this.a);
    say(`${this.a.name}: resource ${RESOURCE}, ${size(DISK_BYTES)}; every write goes to a log first`);
    for (const host of [this.b, this.c]) await this.adm(host, 'join-resource', RESOURCE, host.disk);
    await this.showUntil('joining', () => [this.b, this.c].every((host) => this.isSynced(host)));
    this.check(
      'both others joined and synced',
      [this.b, this.c].every((host) => this.isSynced(host)),
    );
  }

  async replicate() {
    heading(`2. Real files: ${this.input}`);
    await this.mount(this.a, true);
    const { files, bytes } = this.copyInput('first');
    say(`${this.a.name}: ext4 on the replicated disk, ${files} files, ${size(bytes)} copied while the others follow`);
    await this.a.sh(`sync -f ${this.a.mnt}`);
    await this.showUntil('replicating', () => this.areUpToDate([this.a, this.b, this.c]));
    this.check('the others followed a live filesystem', this.areUpToDate([this.a, this.b, this.c]));
  }

  async cutNetwork() {
    heading('3. The network of gamma is cut');
    await this.hosts.cut(['gamma'], ['alpha', 'beta']);
    const { bytes } = this.copyInput('second');
    await this.a.sh(`sync -f ${this.a.mnt}`);
    say(`${this.a.name} goes on writing (${size(bytes)}), nothing waits for the network`);
    await this.showUntil('cut', () => this.areUpToDate([this.a, this.b]));
    const lag = this.lagOf(this.c);
    say(`${this.c.name} is ${size(lag)} behind, and a consistent state of the past`);
    await this.hosts.heal();
    say('the cable is back; nobody has to do anything');
    await this.showUntil('catching up', () => this.areUpToDate([this.a, this.b, this.c]));
    this.check('a cut network only makes a secondary older', lag > 0 && this.areUpToDate(this.hosts.all));
  }

  async handOver() {
    heading('4. Planned handover from alpha to beta');
    const refused = await this.b.marsadm(WINDOW, 'primary', RESOURCE);
    this.check('a handover is refused while the device is in use', refused.code !== 0);
    say(`while it is mounted: ${yellow(lastLine(refused))}`);
    await this.unmount();
    const before = performance.now();
    await this.adm(this.b, 'primary', RESOURCE);
    await this.deviceAt(this.b);
    say(`${this.b.name} is primary after ${((performance.now() - before) / 1000).toFixed(1)} s`);
    await this.mount(this.b, false);
    const isEqual = this.compareInput(['first', 'second']);
    this.check('every file is there after the handover', isEqual);
    say(isEqual ? 'every file is there, byte for byte' : red('files differ'));
  }

  async disaster() {
    heading('5. beta dies in the middle of writing; gamma is forced');
    this.copyInput('third', MAX_INPUT_BYTES / 8);
    await this.b.sh(`sync -f ${this.b.mnt}`);
    await this.showUntil('replicating', () => this.areUpToDate(this.hosts.all));
    await this.hosts.cut(['beta'], ['alpha', 'gamma']);
    this.copyInput('lost', MAX_INPUT_BYTES / 16);
    await this.b.sh(`sync -f ${this.b.mnt}`);
    await this.b.kill();
    await this.forgetMount();
    say(`${this.b.name} had written what nobody else has: power off`);
    await sleep(4_000);
    await this.adm(this.c, 'disconnect', RESOURCE);
    await this.adm(this.c, '--force', '--yes', 'primary', RESOURCE);
    await this.deviceAt(this.c);
    say(`${this.c.name}: primary --force. What only ${this.b.name} had is given up`);
    await this.mount(this.c, false);
    this.copyInput('after', MAX_INPUT_BYTES / 16);
    await this.unmount();
    await this.hosts.heal();
    await this.b.start();
    await this.adm(this.c, 'connect', RESOURCE);
    const isSplit = await this.waitFor(async () =>
      /SPLIT BRAIN/i.test((await this.c.marsadm('view', RESOURCE)).out + (await this.c.marsadm('view', RESOURCE)).err),
    );
    say(
      `${this.b.name} is back with another history: ${red('split brain')}${isSplit ? ', and every host says so' : ''}`,
    );
    this.check('the split brain is seen', isSplit);
    await this.adm(this.b, '--yes', 'invalidate', RESOURCE);
    say(`${this.b.name}: invalidate. Its version is thrown away, only differing blocks are copied`);
    const isDone = () => this.hosts.all.every((host) => this.isSynced(host)) && this.areUpToDate(this.hosts.all);
    await this.showUntil('resolving', () => this.isSynced(this.b) && this.areUpToDate([this.b, this.c]));
    // alpha may have more of beta's last history than gamma had; then it cannot know which of the two is to live.
    if (!(await this.waitFor(isDone, 5_000))) {
      await this.adm(this.a, '--yes', 'invalidate', RESOURCE);
      say(`${this.a.name}: invalidate as well, because it had part of the history that was given up`);
      await this.showUntil('resolving', isDone);
    }
    this.check('after invalidate everybody has one history', this.areUpToDate(this.hosts.all));
  }

  async verify() {
    heading('6. Are all disks equal?');
    await this.showUntil('settling', () => this.areUpToDate(this.hosts.all) && this.areClean(this.hosts.all), 20_000);
    const sums = this.hosts.all.map((host) => [host.name, checksum(host.disk)]);
    for (const [name, sum] of sums) say(`${name.padEnd(6)} sha256 ${sum}`);
    this.check('all three disks are equal', new Set(sums.map(([, sum]) => sum)).size === 1);
  }

  summary() {
    heading('Summary');
    for (const { what, isGood } of this.checks) console.log(`  ${isGood ? green('✔') : red('✘')} ${what}`);
    const isGood = this.checks.every((check) => check.isGood);
    const seconds = Math.round(elapsedSeconds());
    console.log(isGood ? green(`\nEverything held, in ${seconds} s.`) : red(`\nSomething went wrong (${seconds} s).`));
    return isGood;
  }

  check(what, isGood) {
    this.checks.push({ what, isGood });
  }

  // ------------------------------------------------------------------------------------------------------------- the hosts

  async adm(host, ...args) {
    const result = await host.marsadm(WINDOW, '--timeout=40', ...args);
    if (result.code === 0) return result.out;
    throw new Error(`${host.name}: marsadm ${args.join(' ')}: exit ${result.code}\n${result.out}${result.err}`);
  }

  resource(host, name) {
    return host.link(`resource-${RESOURCE}/${name}`);
  }

  led(host, name) {
    return this.resource(host, `actual-${host.name}/${name}`);
  }

  deviceAt(host) {
    return until(`the device appears on ${host.name}`, () => this.led(host, 'if-on') === '1', 30_000);
  }

  primary() {
    return this.hosts.all.find((host) => this.led(host, 'is-primary') === '1') ?? null;
  }

  isSynced(host) {
    return this.resource(host, `syncstatus-${host.name}`) === String(DISK_BYTES);
  }

  /** Serial, position, dirty length. */
  position(host) {
    const [log = '', pos = '0', dirty = '0'] = (this.resource(host, `replay-${host.name}`) ?? '').split(',');
    return { serial: Number(log.split('-')[1] ?? 0), pos: Number(pos), dirty: Number(dirty) };
  }

  /** What the primary has logged in all: its present log, and how long that is. */
  goal() {
    const host = this.primary() ?? this.a;
    const { serial } = this.position(host);
    const version = this.resource(host, `version-${String(serial).padStart(9, '0')}-${host.name}`) ?? '';
    return { serial, pos: Number(version.split(',')[2]?.split(':')[0] ?? 0) };
  }

  lagOf(host) {
    const goal = this.goal();
    const at = this.position(host);
    return at.serial === goal.serial ? Math.max(0, goal.pos - at.pos) : goal.pos;
  }

  areUpToDate(hosts) {
    const goal = this.goal();
    return hosts.every((host) => {
      const at = this.position(host);
      return at.serial === goal.serial && at.pos === goal.pos;
    });
  }

  areClean(hosts) {
    return hosts.every((host) => this.position(host).dirty === 0);
  }

  async showUntil(what, isDone, timeoutMs = 60_000) {
    const lines = () => {
      const goal = this.goal();
      return this.hosts.all.map((host) => {
        const at = this.position(host);
        const isSyncing = !this.isSynced(host);
        const done = isSyncing
          ? Number(this.resource(host, `syncstatus-${host.name}`) ?? 0)
          : at.serial === goal.serial
            ? at.pos
            : 0;
        const whole = isSyncing ? DISK_BYTES : goal.pos;
        const role = this.led(host, 'is-primary') === '1' ? 'primary  ' : 'secondary';
        const note = isSyncing
          ? 'sync'
          : at.serial === goal.serial && at.pos === goal.pos
            ? 'up to date'
            : `${size(this.lagOf(host))} behind`;
        return `${host.name.padEnd(6)} ${role} ${bar(done, whole)} log ${at.serial} ${dim(note)}`;
      });
    };
    const isGood = await watch(lines, isDone, { timeoutMs });
    if (!isGood) say(red(`${what}: not finished after ${timeoutMs / 1000} s`));
  }

  async waitFor(isTrue, timeoutMs = 20_000) {
    const end = performance.now() + timeoutMs;
    while (performance.now() < end) {
      if (await isTrue()) return true;
      await sleep(300);
    }
    return false;
  }

  // -------------------------------------------------------------------------------------------------------- the filesystem

  /** Until /dev/mars exists: the NBD socket becomes a file by nbdfuse, the file a block device by a loop device. */
  async mount(host, isNew) {
    host.mnt = path.join(host.dir, 'mnt');
    const file = path.join(host.dir, 'device');
    const socket = path.join(host.env.MARS_RUN, 'nbd', `${RESOURCE}.sock`);
    await host.sh(`mkdir -p ${host.mnt} && touch ${file}`);
    await host.sh(
      `nbdfuse ${file} 'nbd+unix:///${RESOURCE}?socket=${socket}' >/dev/null 2>&1 & for i in $(seq 100); do mountpoint -q ${file} && exit 0; sleep 0.1; done; exit 1`,
    );
    host.loop = (await host.sh(`losetup --find --show ${file}`)).trim();
    if (isNew) await host.sh(`mkfs.ext4 -q -E nodiscard ${host.loop}`);
    await host.sh(`mount ${host.loop} ${host.mnt}`);
    this.mounted = host;
  }

  async unmount() {
    const host = this.mounted;
    const file = path.join(host.dir, 'device');
    await host.sh(
      `umount ${host.mnt} && losetup -d ${host.loop} && for i in $(seq 50); do umount ${file} 2>/dev/null && break; sleep 0.1; done`,
    );
    this.mounted = null;
    await until('the device is closed', () => this.led(host, 'open-count') === '0', 20_000);
  }

  /** The host has died: what was mounted there is only to be got rid of. */
  async forgetMount() {
    const host = this.mounted;
    const file = path.join(host.dir, 'device');
    await host.exec('sh', [
      '-c',
      `umount -l ${host.mnt}; losetup -d ${host.loop}; umount -l ${file}; pkill nbdfuse; true`,
    ]);
    this.mounted = null;
  }

  copyInput(name, mostBytes = MAX_INPUT_BYTES / 2) {
    const host = this.mounted;
    const to = path.join(`/proc/${host.pid}/root`, host.mnt, name);
    let bytes = 0;
    let files = 0;
    for (const file of this.inputFiles()) {
      const { size: length } = fs.statSync(path.join(this.input, file));
      if (bytes + length > mostBytes) continue;
      fs.mkdirSync(path.dirname(path.join(to, file)), { recursive: true });
      fs.copyFileSync(path.join(this.input, file), path.join(to, file));
      bytes += length;
      files++;
    }
    return { files, bytes };
  }

  /** Every copied file equals its original. */
  compareInput(names) {
    const host = this.mounted;
    return names.every((name) => {
      const dir = path.join(`/proc/${host.pid}/root`, host.mnt, name);
      const result = spawnSync('sh', [
        '-c',
        'cd "$1" && find . -type f -print0 | while IFS= read -r -d "" f; do cmp -s "$f" "$2/$f" || exit 1; done',
        'sh',
        dir,
        this.input,
      ]);
      return result.status === 0 && fs.existsSync(dir);
    });
  }

  inputFiles() {
    this.files ??= listFiles(this.input);
    return this.files;
  }

  close() {
    return this.hosts.close();
  }
}

const SKIPPED = new Set(['node_modules', '.git']);

function listFiles(dir, below = '') {
  const found = [];
  for (const entry of fs.readdirSync(path.join(dir, below), { withFileTypes: true })) {
    const name = path.join(below, entry.name);
    if (entry.isDirectory() && !SKIPPED.has(entry.name)) found.push(...listFiles(dir, name));
    else if (entry.isFile()) found.push(name);
  }
  return found;
}

function checksum(file) {
  const hash = crypto.createHash('sha256');
  const fd = fs.openSync(file, 'r');
  const buffer = Buffer.alloc(1024 * 1024);
  for (let got; (got = fs.readSync(fd, buffer)) > 0;) hash.update(buffer.subarray(0, got));
  fs.closeSync(fd);
  return hash.digest('hex').slice(0, 32);
}

function lastLine({ out, err }) {
  const lines = `${out}${err}`
    .trim()
    .split('\n')
    .filter((line) => line.trim() !== '');
  return lines.find((line) => /in use|open/i.test(line)) ?? lines.at(-1) ?? '';
}
