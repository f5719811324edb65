import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMarsError, silentLogger } from '@mars/brick-core';
import { createLogger, createPlatform, type Platform } from '@mars/platform';
import { Daemon, type DaemonOptions } from './daemon.js';
import type { MachineFacts } from './machine-checks.js';
import type { DaemonNetwork } from './network.js';
import { resolveSettings } from './settings.js';

/** A network that notes what it is told. */
function noNetwork(told: string[]): DaemonNetwork {
  return {
    start: async () => void told.push('start'),
    stop: async () => void told.push('stop'),
    notify: (all) => void told.push(`notify ${all}`),
    compare: (fully) => void told.push(`compare ${fully}`),
    pushLink: async (...words) => (told.push(`push ${words.join(' ')}`), null),
    pushCheck: async (...words) => (told.push(`check ${words.join(' ')}`), 'no answer'),
    peersText: () => '{"host":"nodeb"}\n',
    describe: () => 'none',
    round: async () => {},
    collect: () => [],
  };
}

describe('Daemon', () => {
  let dir = '';
  let platform: Platform;
  let told: string[];

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'marsd-unit-'));
    mkdirSync(join(dir, 'mars'));
    told = [];
    const logger = createLogger({ level: 'silent', destination: { write: () => {} } });
    platform = createPlatform({ ring: 'threads', arenaBytes: 65_536, poolObjects: 1, log: { logger } });
  });
  afterEach(async () => {
    await platform.close();
    rmSync(dir, { recursive: true, force: true });
  });

  function make(more: Partial<DaemonOptions> = {}): Daemon {
    const given = { mars: join(dir, 'mars'), run: join(dir, 'run'), host: 'nodea', mountpointCheck: false };
    return new Daemon({
      // Not over FUSE: this thread would wait for itself.
      settings: resolveSettings({ ...given, controlFiles: 'plain' }, {}, {}, 'x'),
      pid: 1,
      files: platform.files,
      clock: platform.loop,
      log: silentLogger,
      machine: { isRoot: true, isKernelModuleLoaded: () => false, isMountPoint: () => true },
      lockTree: () => {},
      makeNetwork: () => noNetwork(told),
      ...more,
    });
  }

  const link = (key: string): string => readlinkSync(join(dir, 'mars', key));

  it('refuses to stop while a device is open, and names it', async () => {
    const daemon = make();
    let open = ['mydata'];
    daemon.openDevices.push(() => open);
    await daemon.start();
    assert.throws(
      () => daemon.checkStop(),
      (e) => isMarsError(e) && e.code === 'DEVICE_IN_USE' && /mydata is open/.test(e.message),
    );
    assert.equal(link('actual-nodea/alive'), '1');
    open = [];
    daemon.checkStop();
    await daemon.stop();
    assert.equal(link('actual-nodea/alive'), '0');
    assert.deepEqual(told.slice(-2), ['notify true', 'stop'], 'the peers hear it before the connections end');
  });

  it('hands commands of the trigger to the network', async () => {
    const daemon = make();
    await daemon.start();
    const trigger = (text: string): unknown => daemon.files.get('trigger')!.write!(text, new AbortController().signal);
    told.length = 0;
    await trigger('2');
    await trigger('8');
    await trigger('p nodeb 10.0.0.1 /mars/ips/ip-nodea');
    await trigger('c nodeb 10.0.0.2 /mars/uuid');
    assert.deepEqual(told, [
      'notify false',
      'compare true',
      'notify true',
      'push nodeb /mars/ips/ip-nodea 10.0.0.1',
      'check nodeb /mars/uuid',
    ]);
    await assert.rejects(async () => trigger('nonsense'));
    assert.equal(daemon.files.get('peers')!.read!(), '{"host":"nodeb"}\n');
    await daemon.stop();
  });

  it('runs a round for what others write, but not for what hosts say about themselves', async () => {
    const daemon = make();
    await daemon.start();
    const settle = (): Promise<void> => platform.loop.sleep(400);
    await settle();
    const before = daemon.rounds.count;
    mkdirSync(join(dir, 'mars/actual-nodeb'));
    symlinkSync('1', join(dir, 'mars/actual-nodeb/alive'));
    await settle();
    assert.equal(daemon.rounds.count, before);
    mkdirSync(join(dir, 'mars/defaults-nodea'));
    symlinkSync('3', join(dir, 'mars/defaults-nodea/sync-limit'));
    while (daemon.tunables.syncLimit.value !== 3) await platform.loop.sleep(10);
    await daemon.stop();
  });

  const refusals: [string, Partial<MachineFacts>, RegExp][] = [
    ['without its mount', { isMountPoint: () => false }, /not a mount point/],
    ['beside the kernel module', { isKernelModuleLoaded: () => true }, /kernel module/],
    ['without root', { isRoot: false }, /only root/],
  ];
  for (const [what, options, message] of refusals) {
    it(`does not touch the tree of the system ${what}`, async () => {
      const machine = { isRoot: true, isKernelModuleLoaded: () => false, isMountPoint: () => true, ...options };
      let isLocked = false;
      const clock = Object.assign(Object.create(platform.loop) as typeof platform.loop, { sleep: async () => {} });
      const settings = resolveSettings({ run: join(dir, 'run'), host: 'nodea' }, {}, {}, 'x');
      const daemon = make({ settings, machine, clock, lockTree: () => void (isLocked = true) });
      await assert.rejects(
        daemon.start(),
        (e) => isMarsError(e) && e.code === 'DAEMON_CANNOT_START' && message.test(e.message),
      );
      assert.equal(isLocked, false);
      assert.deepEqual(told, []);
    });
  }

  it('leaves nothing open when a part of it cannot start', async () => {
    const network = { ...noNetwork(told), start: async () => Promise.reject(new Error('no network')) };
    await assert.rejects(make({ makeNetwork: () => network }).start(), /no network/);
    assert.deepEqual(told.slice(-1), ['stop']);
    const again = make();
    await again.start();
    await again.stop();
  });
});
