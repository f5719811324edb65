import assert from 'node:assert/strict';
import { INT } from '../keys/numbers.js';
import { REPLAY } from '../keys/logs.js';
import { paths } from '../paths.js';
import { Directory, Entry } from './entry.js';
import { FactMap } from './fact-map.js';
import { TreeSnapshot, snapshotText } from './snapshot.js';

function link(value: string, stampNs = 1n): Entry {
  return new Entry('link', value, stampNs, 0, 7);
}

function file(sizeBytes: number): Entry {
  return new Entry('file', '', 1n, sizeBytes, 8);
}

function tree(facts: Record<string, string | Entry>): TreeSnapshot {
  return Object.entries(facts).reduce(
    (snapshot, [path, value]) => snapshot.with(path, typeof value === 'string' ? link(value) : value),
    TreeSnapshot.EMPTY,
  );
}

const R = 'resource-mydata';
const EXAMPLE = tree({
  uuid: 'nodea_1795190987.123456789',
  'ips/ip-nodea': '10.1.0.1',
  'ips/ip-nodeb': '10.1.0.2',
  'ips/ip-nodec': '.deleted',
  'ips/ip-none': '10.1.0.9',
  [`${R}/size`]: '268435456',
  [`${R}/primary`]: 'nodea',
  [`${R}/data-nodea`]: '/dev/vg00/lv-0',
  [`${R}/data-nodeb`]: file(4096),
  [`${R}/device-nodea`]: 'lv-0',
  [`${R}/device-nodec`]: '(none)',
  [`${R}/todo-nodea/attach`]: '1',
  [`${R}/todo-nodea/sync`]: '0',
  [`${R}/actual-nodea/is-primary`]: '1',
  [`${R}/replay-nodea`]: 'log-000000003-nodea,81920,4096',
  [`${R}/version-000000002-nodea`]: 'x',
  [`${R}/version-000000010-nodea`]: 'x',
  [`${R}/version-000000001-nodea`]: '.deleted',
  [`${R}/version-000000003-x-nodea`]: 'x',
  [`${R}/log-000000010-nodea`]: file(0),
  [`${R}/log-000000003-nodea`]: file(100),
  [`${R}/log-000000002-nodea`]: '.deleted',
  'resource-gone/size': '.deleted',
});

describe('TreeSnapshot', () => {
  it('reads values, with tombstones and missing links as nothing', () => {
    assert.equal(EXAMPLE.value('uuid'), 'nodea_1795190987.123456789');
    assert.equal(EXAMPLE.value('ips/ip-nodec'), null);
    assert.equal(EXAMPLE.value('ips'), null);
    assert.equal(EXAMPLE.value(`${R}/log-000000003-nodea`), null);
    assert.equal(EXAMPLE.value('uuid/below'), null);
    assert.equal(EXAMPLE.read(paths.size('mydata'), INT), 268_435_456);
    assert.equal(EXAMPLE.read(paths.replay('mydata', 'nodea'), REPLAY)!.posBytes, 81_920);
    assert.equal(EXAMPLE.read(paths.replay('mydata', 'nodeb'), REPLAY), null);
    assert.equal(EXAMPLE.stampNs('ips/ip-nodec'), 1n);
  });

  it('lists hosts, resources, members and users, without what is deleted or badly named', () => {
    assert.deepEqual(EXAMPLE.hosts(), ['nodea', 'nodeb']);
    assert.deepEqual(EXAMPLE.resources(), ['mydata']);
    assert.deepEqual(EXAMPLE.members('mydata'), ['nodea', 'nodeb']);
    assert.deepEqual(EXAMPLE.users('mydata'), ['nodea', 'nodec']);
    assert.deepEqual(EXAMPLE.members('nothing'), []);
  });

  it('knows roles, switches and leds, and a missing one is off', () => {
    assert.equal(EXAMPLE.primary('mydata'), 'nodea');
    assert.equal(EXAMPLE.with(paths.primary('mydata'), link('(none)')).primary('mydata'), null);
    assert.ok(EXAMPLE.isOn('mydata', 'nodea', 'attach') && !EXAMPLE.isOn('mydata', 'nodea', 'sync'));
    assert.ok(!EXAMPLE.isOn('mydata', 'nodeb', 'attach'));
    assert.ok(EXAMPLE.isLit('mydata', 'nodea', 'is-primary') && !EXAMPLE.isLit('mydata', 'nodea', 'is-syncing'));
  });

  it('lists log files and versions by number', () => {
    assert.deepEqual(
      EXAMPLE.logs('mydata').map(({ sequence, host, sizeBytes }) => [sequence, host, sizeBytes]),
      [
        [3, 'nodea', 100],
        [10, 'nodea', 0],
      ],
    );
    assert.deepEqual(EXAMPLE.versions('mydata', 'nodea'), [2, 10]);
    assert.deepEqual(EXAMPLE.versions('mydata', 'x-nodea'), [3]);
  });

  it('tells changed paths, and those of whole directories that came or went', () => {
    const changed = EXAMPLE.with(paths.primary('mydata'), link('nodeb', 2n))
      .with('ips', null)
      .with('userspace/x', link('1'));
    const changes = EXAMPLE.changesTo(changed);
    assert.deepEqual(changes.map(({ path, before, after }) => `${path}: ${before?.value} → ${after?.value}`).sort(), [
      'ips/ip-nodea: 10.1.0.1 → undefined',
      'ips/ip-nodeb: 10.1.0.2 → undefined',
      'ips/ip-nodec: .deleted → undefined',
      'ips/ip-none: 10.1.0.9 → undefined',
      'resource-mydata/primary: nodea → nodeb',
      'userspace/x: undefined → 1',
    ]);
    assert.deepEqual(EXAMPLE.changesTo(EXAMPLE), []);
  });

  it('does not take a link for changed that was only written again with the same stamp', () => {
    const again = EXAMPLE.with('uuid', new Entry('link', EXAMPLE.value('uuid')!, 1n, 0, 99));
    assert.deepEqual(EXAMPLE.changesTo(again), []);
  });

  it('shows a directory that became a link, and the reverse', () => {
    const swapped = EXAMPLE.with('ips', link('.deleted'));
    assert.equal(EXAMPLE.changesTo(swapped).length, 5);
    assert.equal(swapped.changesTo(EXAMPLE).length, 5);
  });

  it('shares what did not change', () => {
    const next = EXAMPLE.with('ips/ip-nodea', link('10.1.0.7'));
    assert.equal(next.directory(R), EXAMPLE.directory(R));
    assert.equal(EXAMPLE.with('ips/none/deeper', null), EXAMPLE);
    assert.equal(EXAMPLE.value('ips/ip-nodea'), '10.1.0.1');
  });

  it('walks everything in order, as text too', () => {
    const small = tree({ b: '2', 'a/x': '1', c: file(5) }).with('d', new Directory(FactMap.empty()));
    assert.equal(snapshotText(small), 'a/x -> 1 @ 1\nb -> 2 @ 1\nc (5 bytes) @ 1');
  });
});
