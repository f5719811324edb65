import assert from 'node:assert/strict';
import { BRICKS, silentLogger } from '@mars/brick-core';
import { versionValue } from '@mars/mars-tree';
import { World, forEachNth, type SimHost } from '@mars/sim';
import { loadStack, openStack, type LoadedStack, type StackHandle, type VarValues } from '@mars/stack';
import { composeHost } from '../compose.js';
import { LogKeeper, type LogKeeperOptions } from './index.js';

const DIR = '/mars/r';
const DISK_BYTES = 1024 * 1024;

const STACK = `
mars: 1
stack: kept
vars: { logs: { type: log-directory }, count: { type: integer }, seed: { type: integer }, onError: { type: string } }
bricks:
  disk: { type: aio, params: { path: /dev/vda, grow: false } }
  log: { type: aio, each: "\${logs}", params: { path: "\${item.path}" } }
  logger:
    type: trans-logger
    in: { data: disk, log: log }
    params:
      { mode: "\${logs.mode}", replay-start: "\${logs.start}", replay-end: "\${logs.end}", report-interval: 20ms, on-log-error: "\${onError}" }
    on: logs.mode == 'replay' || logs.mode == 'logging'
  load:
    type: load
    in: logger
    params: { count: "\${count}", seed: "\${seed}", depth: 8, mix: 10r/70w/20f, sizes: [4K], verify: true, readback: false, rate: 2000 }
    on: logs.mode == 'logging'
`;

type Wishes = Partial<Pick<LogKeeperOptions, 'rotateBytes' | 'keepLogs' | 'force' | 'host'>> & {
  count?: number;
  onError?: string;
};

/** A kept stack in one life of a host, with a load that writes as soon as it can. */
class Kept {
  readonly keeper: LogKeeper;
  readonly stack: StackHandle;
  isFinished = false;
  /** States of the logger, in order. */
  readonly states: string[] = [];

  constructor(host: SimHost, { count = 100, onError = 'hold', ...wishes }: Wishes = {}) {
    composeHost(host.container, host);
    const { container, loop, files } = host;
    const registry = container.resolve(BRICKS);
    const reload = (vars: VarValues): LoadedStack =>
      loadStack(STACK, { registry, vars: { logs: { path: DIR }, count, onError, seed: host.starts, ...vars } });
    this.stack = openStack({ ...reload({}), loop, host: container, registry });
    this.stack.subscribe((event) => {
      if (event.kind === 'fact' && event.brick === 'load' && event.name === 'finished' && event.value === true)
        this.isFinished = true;
      if (event.kind === 'fact' && event.name === 'state') this.states.push(String(event.value));
    });
    this.keeper = new LogKeeper({
      ...{
        files,
        clock: loop,
        log: silentLogger,
        dir: DIR,
        host: 'a',
        name: 'logs',
        stack: this.stack,
        rotateBytes: 0,
      },
      planOf: (logs) => reload({ logs: logs }).plan,
      ...wishes,
    });
  }

  close(): Promise<void> {
    return this.keeper.close(() => this.stack.close());
  }
}

describe('LogKeeper', function () {
  this.timeout(60_000);
  let world: World;
  let host: SimHost;
  const limit = { maxVirtualMs: 120_000 };

  beforeEach(() => {
    world = new World({ seed: 5 });
    host = world.addHost('a');
    host.disk.addDevice('vda', DISK_BYTES);
  });
  afterEach(() => world.close());

  it('begins with log 1, and the links of a new resource', async () => {
    const kept = await start({ count: 0 });
    assert.deepEqual([kept.keeper.state, kept.keeper.current], ['logging', { sequence: 1, host: 'a' }]);
    const zeros = '0'.repeat(32);
    assert.equal(link('version-000000000-a'), `${zeros},log-000000000-a,0:`);
    assert.match(link('replay-a')!, /^log-000000001-a,\d+,\d+$/);
    await world.drive(kept.close(), limit);
  });

  it('leaves nothing dirty when it is closed: the next start replays nothing and opens the next log', async () => {
    await lifeWith({ count: 200 });
    const size = sizeOf(1);
    assert.ok(size > 200 * 2048);
    assert.equal(link('replay-a'), `log-000000001-a,${size},0`);
    assert.equal(link('version-000000001-a'), versionValue(1, 'a', size, null));
    host.restart();
    const kept = await start({ count: 0 });
    assert.equal(kept.keeper.current!.sequence, 2);
    assert.equal(link('version-000000002-a'), versionValue(2, 'a', 0, versionValue(1, 'a', size, null)));
    await world.drive(kept.close(), limit);
  });

  it('replays what a killed process had logged, so that the disk equals the log', async () => {
    await start({ count: 300 });
    await world.advance(30);
    host.crash('process');
    host.restart();
    const kept = await start({ count: 0 });
    const size = sizeOf(1);
    assert.ok(size > 0, 'nothing was written before the crash: the test is too tame');
    assert.equal(link('version-000000001-a'), versionValue(1, 'a', size, null));
    assert.equal(kept.keeper.current!.sequence, 2);
    await world.drive(kept.close(), limit);
  });

  it('rotates at a size, under load, and removes logs that nobody needs', async () => {
    const kept = await start({ count: 3000, rotateBytes: 256 * 1024, keepLogs: 1 });
    await world.run({ until: () => kept.isFinished, ...limit });
    await world.advance(5000);
    const { sequence } = kept.keeper.current!;
    assert.ok(sequence >= 3, `${sequence} logs`);
    assert.deepEqual(logNames(), [sequence - 1, sequence].map(nameOf));
    const predecessor = link(`version-${nameOf(sequence - 1).slice(4)}`)!;
    assert.ok(link(`version-${nameOf(sequence).slice(4)}`)!.endsWith(`:${predecessor.split(':')[0]!}`));
    await world.drive(kept.close(), limit);
  });

  it('takes an empty next log that somebody has made, and nothing else', async () => {
    const kept = await start({ count: 500 });
    const make = async (name: string, bytes: number): Promise<void> => {
      const file = await host.files.open(`${DIR}/${name}`, { write: true, create: true });
      if (bytes > 0) await host.files.writeAt(file, new Uint8Array(bytes), 0);
      await host.files.close(file);
    };
    await world.drive(make(nameOf(7), 0), limit);
    await world.advance(3000);
    assert.equal(kept.keeper.current!.sequence, 1);
    await world.drive(make(nameOf(2), 0), limit);
    await world.run({ until: () => kept.keeper.current!.sequence === 2 && kept.isFinished, ...limit });
    await world.advance(3000);
    assert.match(link('replay-a')!, /^log-000000002-a,/);
    await world.drive(kept.close(), limit);
  });

  it('rotates by hand', async () => {
    const kept = await start({ count: 1000 });
    await world.drive(kept.keeper.rotate(), limit);
    await world.run({ until: () => kept.isFinished, ...limit });
    await world.drive(kept.close(), limit);
    assert.match(link('replay-a')!, /^log-000000002-a,\d+,0$/);
    assert.equal(link('version-000000001-a'), versionValue(1, 'a', sizeOf(1), null));
  });

  it('cuts a torn tail off, durably, before it opens the next log', async () => {
    await lifeWith({ count: 50 });
    const size = sizeOf(1);
    await world.drive(append(nameOf(1), new Uint8Array(5000).fill(0x57)), limit);
    host.restart();
    const kept = await start({ count: 0 });
    assert.equal(sizeOf(1), size);
    await world.drive(kept.close(), limit);
    host.crash('power');
    host.restart();
    assert.equal(sizeOf(1), size);
  });

  it('refuses damage with good records behind it, unless a person accepts it', async () => {
    await lifeWith({ count: 50 });
    await world.drive(overwrite(nameOf(1), 60, new Uint8Array(8)), limit);
    // Without a published dirty range nobody could know that it had been durable.
    setReplay(`log-000000001-a,0,${sizeOf(1)}`);
    await assert.rejects(start({ count: 0 }), { code: 'LOGS_NOT_USABLE', message: /damaged/ });
    host.restart();
    const kept = await start({ count: 0, force: true });
    assert.equal(sizeOf(1), 0);
    await world.drive(kept.close(), limit);
  });

  it('refuses a link that it cannot read, logs without a link, and another host that has gone on', async () => {
    await lifeWith({ count: 50 });
    for (const [prepare, message] of [
      [(): void => setReplay('nonsense'), /cannot be read/],
      [(): void => host.files.unlink(`${DIR}/replay-a`), /no replay link/],
      [(): void => setReplay('log-000000009-a,100,0'), /log-000000009-a is missing/],
    ] as const) {
      host.restart();
      prepare();
      await assert.rejects(start({ count: 0 }), { code: 'LOGS_NOT_USABLE', message });
    }
  });

  it('takes over from another host: its log is replayed to the end, the next one is our own', async () => {
    await lifeWith({ count: 50 });
    host.restart();
    host.files.symlink('log-000000001-a,0,0', `${DIR}/replay-b`);
    const kept = await start({ count: 0, host: 'b' });
    assert.deepEqual(kept.keeper.current, { sequence: 2, host: 'b' });
    assert.equal(link('version-000000001-b'), link('version-000000001-a'));
    await world.drive(kept.close(), limit);
  });

  it('leaves a hole in the serials before writes go past the log, and goes back to a fresh log when it can', async () => {
    const kept = await start({ count: 70_000, onError: 'bypass' });
    await world.advance(500);
    const fault = host.disk.fault({ on: 'write', path: 'log-', errno: 28 });
    await world.run({ until: () => kept.states.includes('bypass'), ...limit });
    assert.match(link('replay-a')!, /^log-000000012-a,0,0$/, 'recovery begins behind the hole');
    assert.equal(link('version-000000011-a'), `${'0'.repeat(32)},log-000000011-a,0:`);
    assert.deepEqual([sizeOf(12), kept.states.indexOf('bypass-waiting') < kept.states.indexOf('bypass')], [0, true]);
    await world.advance(5000);
    fault.release();
    await world.run({ until: () => kept.states.at(-1) === 'logging', ...limit });
    await world.run({ until: () => kept.isFinished, ...limit });
    await world.drive(kept.close(), limit);
    assert.match(link('replay-a')!, /^log-000000012-a,\d+,0$/);
    assert.ok(sizeOf(12) > 0);
    host.restart();
    const again = await start({ count: 0 });
    assert.equal(again.keeper.current!.sequence, 13);
    await world.drive(again.close(), limit);
  });

  it('brings the logs in order again wherever a recovery dies', async () => {
    const operations = await forEachNth(async (nth) => {
      world.close();
      world = new World({ seed: nth });
      host = world.addHost('a');
      host.disk.addDevice('vda', DISK_BYTES);
      await start({ count: 3000 });
      await world.advance(20);
      host.crash('power');
      host.restart();
      const fault = host.disk.fault({ on: ['meta', 'sync-dir', 'sync', 'truncate'], nth, crash: 'power' });
      const { keeper } = new Kept(host, { count: 0 });
      host.run(() => keeper.start().catch(() => {}));
      await world.run({ until: () => !host.isUp || keeper.state === 'logging', ...limit });
      const wasHit = fault.hits > 0;
      fault.release();
      if (host.isUp) host.crash('power');
      host.restart();
      const kept = await start({ count: 0 });
      assert.equal(kept.keeper.state, 'logging');
      await world.drive(kept.close(), limit);
      return wasHit;
    });
    assert.ok(operations >= 10, `only ${operations} operations`);
  });

  async function start(wishes: Wishes): Promise<Kept> {
    const kept = new Kept(host, wishes);
    await world.drive(kept.keeper.start(), limit);
    return kept;
  }

  async function lifeWith(wishes: Wishes): Promise<void> {
    const kept = await start(wishes);
    await world.run({ until: () => kept.isFinished, ...limit });
    await world.drive(kept.close(), limit);
  }

  function link(name: string): string | null {
    return host.files.readLink(`${DIR}/${name}`);
  }

  function setReplay(value: string): void {
    if (link('replay-a') !== null) host.files.unlink(`${DIR}/replay-a`);
    host.files.symlink(value, `${DIR}/replay-a`);
  }

  function nameOf(sequence: number): string {
    return `log-${String(sequence).padStart(9, '0')}-a`;
  }

  function sizeOf(sequence: number): number {
    return host.files.stat(`${DIR}/${nameOf(sequence)}`)!.sizeBytes;
  }

  function logNames(): string[] {
    return host.files
      .readDir(DIR)!
      .map(({ name }) => name)
      .filter((name) => name.startsWith('log-'))
      .sort();
  }

  async function append(name: string, bytes: Uint8Array): Promise<void> {
    await overwrite(name, host.files.stat(`${DIR}/${name}`)!.sizeBytes, bytes);
  }

  async function overwrite(name: string, pos: number, bytes: Uint8Array): Promise<void> {
    const file = await host.files.open(`${DIR}/${name}`, { write: true });
    await host.files.writeAt(file, bytes, pos);
    await host.files.sync(file);
    await host.files.close(file);
  }
});
