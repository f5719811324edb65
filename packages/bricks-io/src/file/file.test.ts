import assert from 'node:assert/strict';
import { EIO, F_FUA, type OpenFile } from '@mars/brick-core';
import { BrickKit, describeBrickConformance, useBrickKit } from '@mars/brick-core/testing';
import { fileOf, scriptedHost } from '../testing/scripted-machine.test.kit.js';
import { FileBrick } from './file.js';

describe('FileBrick', () => {
  const host = scriptedHost({}, fileOf(2 ** 20));
  // A promise per request is what this brick is about.
  describeBrickConformance(useBrickKit(FileBrick, { path: '/f' }, host), { requests: 100, allocationFree: false });

  describe('syncs', () => {
    const kit = useBrickKit(FileBrick, { path: '/f' }, host);

    it('run one at a time, and after a failure every flush and FUA fails', async () => {
      const { files } = host.machine();
      const running: ((error?: Error) => void)[] = [];
      files.sync = () =>
        new Promise<void>((resolve, reject) => running.push((error) => (error ? reject(error) : resolve())));
      const errors: number[] = [];
      for (let i = 0; i < 2; i++) kit.probe.send({ op: 'flush' }, (a) => errors.push(a.err));
      kit.probe.send({ op: 'write', posBytes: 0, data: 'x', flags: F_FUA }, (a) => errors.push(a.err));
      kit.run();
      for (let i = 0; i < 20; i++) await Promise.resolve();
      assert.equal(running.length, 1, 'two syncs at a time: only one of them would be told of an error');
      running[0]!(Object.assign(new Error('EIO'), { details: { errno: EIO } }));
      await kit.settle(new Promise<void>((resolve) => kit.loop.after(1, undefined, resolve)));
      assert.deepEqual(errors, [-EIO, -EIO, -EIO]);
      assert.equal((await kit.answerOf({ op: 'flush' })).err, -EIO);
    });
  });

  it('reports the errno of a failed call, and EIO when it has none', async () => {
    const kit = new BrickKit(FileBrick, { path: '/f' }, host);
    await kit.open();
    const { files } = host.machine();
    files.readAt = (_file: OpenFile) => Promise.reject(Object.assign(new Error('no'), { details: { errno: 28 } }));
    assert.equal((await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 1 })).err, -28);
    files.readAt = () => Promise.reject(new Error('no'));
    assert.equal((await kit.answerOf({ op: 'read', posBytes: 0, lenBytes: 1 })).err, -EIO);
    await kit.close();
  });
});
