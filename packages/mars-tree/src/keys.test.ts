import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { isMarsError } from '@mars/brick-core';
import { ALL_KEYS, KEY_GROUPS, checkFact, findKey, mayWrite } from './keys.js';
import { MESSAGE_KEYS } from './keys/indicators.js';
import { fillPath } from './keys/path-pattern.js';
import { renderReference } from './keys/render.js';
import { paths } from './paths.js';

const PAGE = new URL('../../../docs/formats/tree.md', import.meta.url);

/** Every name in the tables of symlink-tree.md, section 2, with parts filled in. */
const NAMES_OF_THE_SPECIFICATION = `
uuid ips/ip-n actual-n defaults defaults-n todo-global userspace userspace/a-n resource-r cache-n/x.cache cache-n/invalid
probe-n/mars/resource-r/size probe-n/got-m backups-1795190987/ips/ip-n 5.total.log 5.total.status
actual-n/time actual-n/alive actual-n/tree actual-n/features actual-n/usable actual-n/buildtag actual-n/emergency actual-n/rest-space
actual-n/total-space actual-n/used-log-digest actual-n/used-net-digest actual-n/used-log-compression actual-n/used-net-compression
actual-n/read-stamp actual-n/marsadm-version actual-n/compat-alivelinks actual-n/msg-needed-connection-with-m
defaults-n/sync-limit defaults-n/sync-pref-list defaults/enabled-log-compressions defaults/enabled-net-compressions
defaults/disabled-log-digests defaults/disabled-net-digests resource-r/defaults/x resource-r/defaults-n/x
todo-global/systemd-global-trigger todo-global/deleted-n todo-global/delete-000000001-n
resource-r/size resource-r/primary resource-r/data-n resource-r/device-n resource-r/maxnr resource-r/skip-check-n resource-r/connect-n
resource-r/syncfrom-n resource-r/systemd-want resource-r/systemd-start-unit resource-r/systemd-stop-unit resource-r/systemd-trigger
userspace/systemd-trigger resource-r/userspace/last-primary resource-r/userspace/prev-primary
resource-r/userspace/systemd-status-start-n resource-r/userspace/systemd-status-stop-n resource-r/local-n resource-r/local-n/connection-x
resource-r/todo-n/attach resource-r/todo-n/connect resource-r/todo-n/allow-replay resource-r/todo-n/sync
resource-r/todo-n/emergency-limit resource-r/todo-n/exports
resource-r/replay-n resource-r/version-000000001-n resource-r/syncstatus-n resource-r/syncpos-n resource-r/verifystatus-n
resource-r/actsize-n
${[
  'is-attached',
  'is-primary',
  'if-on',
  'open-count',
  'is-replaying',
  'is-copying',
  'is-syncing',
  'has-emergency',
  'is-emergency',
]
  .concat([
    'replay-code',
    'disk-error',
    'if-state',
    'if-flying',
    'if-completion-stamp',
    'ops-if_rate',
    'amount-if_rate',
  ])
  .concat([
    'ops-replay_rate',
    'amount-replay_rate',
    'ops-file_rate',
    'amount-file_rate',
    'ops-sync_rate',
    'amount-sync_rate',
  ])
  .concat(
    ['prosumer-on'],
    MESSAGE_KEYS.map((key) => `msg-${key}`),
  )
  .map((name) => `resource-r/actual-n/${name}`)
  .join(' ')}
resource-r/log-000000001-n resource-r/_file-001-n resource-r/_copy-001-n resource-r/_direct-001-n resource-r/transferstatus-n
resource-r/work-n resource-r/logfile-update resource-r/copy-syncstatus-n
resource-r/2.warn.status resource-r/3.error.log resource-r/logstatus-n.status
alive-n time-n tree-n buildtag-n emergency-n rest-space-n actual-n/msg-connection-from-m resource-r/actual-n/device-n
resource-r/actual-n/copy-syncstatus-n resource-r/actual-n/logfile-update resource-r/actual-n/replay_rate
resource-r/actual-n/file_rate resource-r/actual-n/sync_rate .deleted-ips resource-r/.deleted-log-000000001-n
`
  .trim()
  .split(/\s+/);

describe('the table of keys', () => {
  it('knows every name of the specification', () => {
    assert.deepEqual(
      NAMES_OF_THE_SPECIFICATION.filter((path) => findKey(path) === null),
      [],
    );
    assert.equal(MESSAGE_KEYS.length, 21);
  });

  it('says for every key what it means, who writes it, and where that is written', () => {
    for (const key of ALL_KEYS) {
      assert.match(key.about, /^[A-Z0-9−0-9-].*[.)]$/s, key.path);
      assert.ok(key.writers.length > 0 && key.source !== '', key.path);
      assert.ok(
        key.kind === 'directory' ||
          key.kind === 'file' ||
          key.codec !== null ||
          /log-|connection|probe|backups/.test(key.path),
        key.path,
      );
    }
  });

  it('has a key for each of its examples, and their values follow the grammar', () => {
    for (const key of ALL_KEYS) {
      for (const [path, value] of key.examples) {
        assert.equal(findKey(path)?.key, key, path);
        if (value === undefined) continue;
        if (!path.includes('/.')) checkFact(path, value);
        assert.equal(key.codec!.format(key.codec!.parse(value)), value);
      }
    }
  });

  it('finds the key and the parts of any path that is built from a pattern', () => {
    const name = fc
      .stringMatching(/^[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,5})?$/)
      .filter((text) => !/^(all|none|any|local|full|empty)/.test(text));
    const parts = fc.record(
      { HOST: name, PEER: name, RES: name, SEQ: fc.nat().map((n) => String(n).padStart(9, '0')) },
      { noNullPrototype: true },
    );
    const fixed = {
      KEY: 'zz',
      NAME: 'zz',
      REST: 'uuid',
      NUMBER: '000000012',
      NNN: '007',
      SECONDS: '1795190987',
      N: '3',
      CLASS: 'error',
    };
    fc.assert(
      fc.property(fc.constantFrom(...ALL_KEYS), parts, (key, some) => {
        const all: Record<string, string> = { ...fixed, ...some };
        const found = findKey(fillPath(key.path, all));
        assert.equal(found?.key.path, key.path);
        for (const [part, text] of Object.entries(found.parts)) assert.equal(text, all[part]);
      }),
      { numRuns: 1000 },
    );
  });

  it('finds no key in paths that only resemble one, and never throws', () => {
    const strange = [
      '',
      '/',
      'uuid/',
      'ips/ip-',
      'ips/ip-all',
      'ips/ip-a.b',
      'resource-r/version-1-n',
      'resource-(none)/size',
      'RESOURCE-r/size',
    ];
    for (const path of strange) assert.equal(findKey(path), null, path);
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (path) => void findKey(path)));
  });

  it('lets a daemon write its own keys and shared ones, and of others nothing but read-stamp', () => {
    const may = (path: string, program: 'daemon' | 'marsadm' = 'daemon'): boolean =>
      mayWrite(findKey(path)!, program, 'a');
    assert.ok(
      may('actual-a/time') && may('resource-r/replay-a') && may('actual-b/read-stamp') && may('cache-a/invalid'),
    );
    assert.ok(
      !may('actual-b/time') && !may('resource-r/replay-b') && !may('actual-a/read-stamp') && !may('cache-b/invalid'),
    );
    assert.ok(!may('resource-r/primary') && may('resource-r/primary', 'marsadm'));
    const foreign = ALL_KEYS.filter((key) => key.writers.includes('daemon@others'));
    assert.deepEqual(
      foreign.map((key) => key.path),
      ['actual-{HOST}/read-stamp'],
    );
  });

  it('refuses bad facts with the grammar and an example', () => {
    const refusal = (path: string, value: string): string => {
      try {
        checkFact(path, value);
      } catch (error) {
        assert.ok(isMarsError(error));
        return `${error.code}: ${error.hint}`;
      }
      return 'accepted';
    };
    assert.match(refusal('resource-r/size', '12M'), /^BAD_FACT: Wanted: decimal.*for example "268435456"/);
    assert.match(refusal('../etc/passwd', 'x'), /^BAD_KEY/);
    assert.match(refusal('resource-r//size', '1'), /^BAD_KEY/);
    assert.match(refusal('resource-r/.tmp-size', '1'), /^BAD_KEY/);
    assert.match(refusal('userspace/x', 'a\nb'), /^BAD_FACT/);
    assert.match(refusal(`userspace/${'x'.repeat(300)}`, '1'), /^BAD_KEY/);
    assert.match(refusal('userspace/x', 'é'.repeat(3000)), /^BAD_FACT/);
    assert.equal(refusal('resource-r/size', '.deleted'), 'accepted');
    assert.equal(refusal('resource-r/some-thing-new', 'whatever it is'), 'accepted');
  });

  it('builds the paths that are in the table', () => {
    const built = [
      paths.uuid, paths.ip('n'), paths.node('n', 'time'), paths.setting('enabled-log-compressions'), paths.hostSetting('n', 'sync-limit'),
      paths.cacheInvalid('n'), paths.resource('r'), paths.size('r'), paths.primary('r'), paths.data('r', 'n'), paths.device('r', 'n'),
      paths.maxnr('r'), paths.skipCheck('r', 'n'), paths.todo('r', 'n', 'attach'), paths.actual('r', 'n', 'if-on'), paths.replay('r', 'n'),
      paths.version('r', 1, 'n'), paths.log('r', 1, 'n'), paths.syncStatus('r', 'n'), paths.syncPos('r', 'n'),
    ]; // prettier-ignore
    assert.deepEqual(
      built.filter((path) => findKey(path) === null),
      [],
    );
    assert.equal(built.length, Object.keys(paths).length);
  });
});

describe('docs/formats/tree.md', () => {
  it('is what the table says (MARS_UPDATE_DOCS=1 rewrites it)', () => {
    const wanted = renderReference(KEY_GROUPS);
    if (process.env['MARS_UPDATE_DOCS'] === '1') writeFileSync(PAGE, wanted);
    assert.equal(readFileSync(PAGE, 'utf8'), wanted);
  });
});
