import assert from 'node:assert/strict';
import type { Logger } from '@mars/brick-core';
import { describeBrickConformance, useBrickKit } from '@mars/brick-core/testing';
import { TraceBrick } from './trace.js';

const lines: { message: string; fields: Record<string, unknown> }[] = [];
const note = (fields: object, message: string): void =>
  void lines.push({ message, fields: fields as Record<string, unknown> });
const log: Logger = { error: note, warn: note, info: note, debug: () => {}, child: () => log };

describe('TraceBrick', () => {
  const kit = useBrickKit(TraceBrick, { ring: 4, slowerThan: '10ms' }, { log });
  beforeEach(() => void lines.splice(0));
  describeBrickConformance(kit);

  it('remembers the last requests, newest last, with what became of them', async () => {
    for (let i = 0; i < 6; i++) await kit.answerOf({ op: 'read', posBytes: i * 512, lenBytes: 512 });
    kit.disk.failAt = 1;
    await kit.answerOf({ op: 'write', posBytes: 0, data: 'abc' });
    const last = kit.brick.last(100);
    assert.deepEqual(
      last.map((e) => [e.op, e.posBytes, e.lenBytes, e.result]),
      [
        ['read', 3 * 512, 512, 'ok'],
        ['read', 4 * 512, 512, 'ok'],
        ['read', 5 * 512, 512, 'ok'],
        ['write', 0, 3, 'EIO'],
      ],
    );
    assert.deepEqual(kit.brick.last(1), last.slice(-1));
  });

  it('knows what is under way, oldest first', () => {
    kit.disk.hold = true;
    kit.read({ posBytes: 1024, lenBytes: 512 });
    kit.write({ posBytes: 0, data: 'abc' });
    assert.deepEqual(
      kit.brick.underWay().map((e) => [e.op, e.posBytes, e.result, e.depth]),
      [
        ['read', 1024, 'under way', 0],
        ['write', 0, 'under way', 1],
      ],
    );
    kit.disk.letGo('backward');
    kit.run();
    assert.deepEqual(kit.brick.underWay(), []);
    assert.deepEqual(
      kit.brick.last(9).map((e) => e.op),
      ['write', 'read'],
    );
  });

  it('logs slow requests with slot and generation, at most ten per second', async () => {
    kit.disk.hold = true;
    for (let i = 0; i < 15; i++) kit.read({ posBytes: i * 512, lenBytes: 512 });
    await kit.runFor(50);
    kit.loop.tick();
    kit.disk.letGo();
    kit.run();
    assert.equal(kit.brick.stats.fact('slow'), 15);
    assert.equal(lines.length, 10);
    assert.equal(lines[0]!.message, 'slow request');
    const { op, tookUs, slot, generation } = lines[0]!.fields;
    assert.deepEqual([op, tookUs, typeof slot, typeof generation], ['read', 50_000, 'number', 'number']);
  });

  it('does not call a fast request slow, and takes a new limit while it runs', async () => {
    await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 512 });
    assert.equal(kit.brick.stats.fact('slow'), 0);
    kit.graph.setParam('brick', 'slowerThan', '100ms');
    kit.disk.hold = true;
    kit.read({ posBytes: 0, lenBytes: 512 });
    await kit.runFor(50);
    kit.loop.tick();
    kit.disk.letGo();
    kit.run();
    assert.equal(kit.brick.stats.fact('slow'), 0);
  });

  it('dumps to the log when "dump" is set', async () => {
    for (let i = 0; i < 3; i++) await kit.answerOf({ op: 'read', posBytes: i * 512, lenBytes: 512 });
    kit.disk.hold = true;
    kit.write({ posBytes: 0, data: 'abc' });
    kit.graph.setParam('brick', 'dump', 2);
    assert.deepEqual(
      lines.map(({ message, fields }) => [message, fields.posBytes]),
      [
        ['traced request', 512],
        ['traced request', 1024],
        ['request under way', 0],
      ],
    );
    kit.disk.letGo();
    kit.run();
  });
});
