import assert from 'node:assert/strict';
import { isMarsError } from '@mars/brick-core';
import { parseConfig } from './config-file.js';
import { resolveSettings } from './settings.js';

const resolve = (options = {}, env = {}, config = {}) => resolveSettings(options, env, config, 'node-a.example.org');

describe('settings of the daemon', () => {
  it('are those of decided.md when nobody says anything', () => {
    assert.deepEqual(resolve(), {
      mars: '/mars',
      run: '/run/mars',
      host: 'node-a',
      ip: null,
      port: 7777,
      insecure: false,
      checkMountpoint: true,
      logLevel: 'info',
      controlFiles: 'auto',
      tunables: {},
    });
  });

  it('come from options, else from the environment, else from marsd.yaml', () => {
    const config = { mars: '/c', run: '/c/run', port: 1, insecure: true };
    const env = { MARS_DIR: '/e', MARS_PORT: '2', MARS_NO_MOUNTPOINT_CHECK: '1', MARS_HOST: '' };
    const { mars, run, port, insecure, checkMountpoint, host } = resolve({ mars: '/o/' }, env, config);
    assert.deepEqual([mars, run, port, insecure, checkMountpoint, host], ['/o', '/c/run', 2, true, false, 'node-a']);
  });

  for (const [what, options] of [
    ['a relative path', { mars: 'mars' }],
    ['a path that leads out', { run: '/run/../etc' }],
    ['a host that no key can name', { host: 'a.b' }],
    ['a reserved host name', { host: 'none' }],
    ['a port without room for the two above it', { port: 65_534 }],
    ['a run directory too long for sockets', { run: `/${'x'.repeat(80)}` }],
  ] as const) {
    it(`refuse ${what}, with a hint`, () => {
      assert.throws(
        () => resolve(options),
        (e) => isMarsError(e) && e.code === 'USAGE' && e.hint !== undefined,
      );
    });
  }
});

describe('marsd.yaml', () => {
  it('may be empty, and is read with types', () => {
    assert.deepEqual(parseConfig('f', '# nothing\n'), {});
    const text = 'host: nodea\nport: 7000\ninsecure: true\ncontrolFiles: plain\ntunables:\n  scan_interval_sec: 2\n';
    assert.deepEqual(parseConfig('f', text), {
      host: 'nodea',
      port: 7000,
      insecure: true,
      controlFiles: 'plain',
      tunables: { scan_interval_sec: 2 },
    });
  });

  for (const [source, line, column] of [
    ['host: a\nprot: 7000\n', 2, 1],
    ['port: many\n', 1, 7],
    ['insecure: "yes"\n', 1, 11],
    ['tunables:\n  scan_interval_sec: fast\n', 2, 3],
    ['- a\n', 1, 1],
    ['host: [a\n', 2, 1],
  ] as const) {
    it(`tells line and column of what is wrong: ${JSON.stringify(source)}`, () => {
      assert.throws(
        () => parseConfig('marsd.yaml', source),
        (e) => isMarsError(e) && e.place?.line === line && e.place.column === column,
      );
    });
  }
});
