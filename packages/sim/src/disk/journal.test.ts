import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createRandom } from '@mars/brick-core';
import { World } from '../index.js';
import { Inode } from './inode.js';
import { Journal, type JournalModel, type MetaOp } from './journal.js';

let numbers = 1;
const inode = (kind: 'file' | 'directory'): Inode => new Inode(numbers++, kind, 0, 0n, '', () => false);

/** Links `count` files into one directory and crashes. @returns the names that are left */
function namesAfterCrash(model: JournalModel, count: number, seed: number): string[] {
  const dir = inode('directory');
  const journal = new Journal(model);
  for (let i = 0; i < count; i++) journal.add({ kind: 'link', dir, name: `f${i}`, inode: inode('file') }, 0);
  const random = createRandom(seed);
  journal.crash(
    0,
    () => random.float(),
    () => random.float() < 0.5,
  );
  return [...dir.durableNames!.keys()];
}

describe('Journal', () => {
  it('leaves the oldest operations up to some moment, as ext4 and XFS do', () => {
    const lengths = new Set<number>();
    for (let seed = 0; seed < 200; seed++) {
      const left = namesAfterCrash('journal', 6, seed);
      assert.deepEqual(left, ['f0', 'f1', 'f2', 'f3', 'f4', 'f5'].slice(0, left.length));
      lengths.add(left.length);
    }
    assert.deepEqual([...lengths].sort(), [0, 1, 2, 3, 4, 5, 6]);
  });

  it('leaves any subset of independent operations in the posix model', () => {
    let withHole = 0;
    for (let seed = 0; seed < 200; seed++) {
      const left = namesAfterCrash('posix', 6, seed);
      if (left.some((name, i) => name !== `f${i}`)) withHole++;
    }
    assert.ok(withHole > 100, `${withHole} of 200`);
  });

  it('never keeps, in the posix model, an operation without the one it stands on', () => {
    fc.assert(
      fc.property(fc.nat(1e6), (seed) => {
        const dir = inode('directory');
        const sub = inode('directory');
        const file = inode('file');
        const journal = new Journal('posix');
        const ops: MetaOp[] = [
          { kind: 'link', dir, name: 'sub', inode: sub },
          { kind: 'link', dir: sub, name: 'x', inode: file },
          { kind: 'rename', dir: sub, name: 'x', toDir: dir, toName: 'y', inode: file },
          { kind: 'unlink', dir, name: 'y' },
        ];
        for (const op of ops) journal.add(op, 0);
        const random = createRandom(seed);
        journal.crash(
          0,
          () => random.float(),
          () => random.float() < 0.6,
        );
        const inSub = sub.durableNames!.has('x');
        const inDir = dir.durableNames!.has('y');
        assert.ok(!(inSub && inDir), 'a rename is there on both sides');
        if (inSub || inDir) assert.ok(dir.durableNames!.has('sub'));
      }),
    );
  });

  it('commits, with a file, everything before its last change; in the posix model its own attributes only', () => {
    for (const [model, expected] of [
      ['journal', ['other']],
      ['posix', []],
    ] as const) {
      const dir = inode('directory');
      const file = inode('file');
      const journal = new Journal(model);
      journal.add({ kind: 'link', dir, name: 'other', inode: inode('file') }, 0);
      journal.add({ kind: 'grow', inode: file, from: 0, to: 4096 }, 0);
      journal.add({ kind: 'link', dir, name: 'later', inode: inode('file') }, 0);
      journal.commitInode(file);
      assert.equal(file.durableSizeBytes, 4096);
      assert.deepEqual([...dir.durableNames!.keys()], expected);
    }
  });

  it('may leave a growing file at any size in between', () => {
    const sizes = new Set<number>();
    for (let seed = 0; seed < 300; seed++) {
      const file = inode('file');
      const journal = new Journal('journal');
      journal.add({ kind: 'grow', inode: file, from: 0, to: 1024 }, 0);
      journal.add({ kind: 'grow', inode: file, from: 1024, to: 2048 }, 0);
      const random = createRandom(seed);
      journal.crash(
        0,
        () => random.float(),
        () => true,
      );
      sizes.add(file.durableSizeBytes);
    }
    assert.deepEqual(
      [...sizes].sort((a, b) => a - b),
      [0, 512, 1024, 1536, 2048],
    );
  });

  it('commits by itself what is older than the commit interval', () => {
    const dir = inode('directory');
    const journal = new Journal('journal');
    journal.add({ kind: 'link', dir, name: 'old', inode: inode('file') }, 0);
    journal.add({ kind: 'link', dir, name: 'new', inode: inode('file') }, 6e9);
    assert.deepEqual([...dir.durableNames!.keys()], ['old']);
    journal.crash(
      12e9,
      () => 0,
      () => false,
    );
    assert.deepEqual([...dir.durableNames!.keys()], ['old', 'new']);
  });
});

describe('The tree after a crash', () => {
  const stampsAfterCrash = async (seed: number): Promise<{ link: string | null; stampNs: bigint | undefined }> => {
    const world = new World({ seed });
    const host = world.addHost('a');
    const set = (value: string, stampNs: bigint): void => {
      host.files.symlink(value, '/.tmp');
      host.files.setLinkTime('/.tmp', stampNs);
      host.files.rename('/.tmp', '/key');
    };
    set('1', 1_000_000_001n);
    await world.drive(host.files.syncDir('/'));
    set('2', 2_000_000_002n);
    set('3', 3_000_000_003n);
    host.crash('power');
    host.restart();
    const found = { link: host.files.readLink('/key'), stampNs: host.files.lstat('/key')?.mtimeNs };
    world.close();
    return found;
  };

  it('rolls back recent symlinks, but never splits a value from its stamp and never loses a synced one', async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 100; seed++) {
      const { link, stampNs } = await stampsAfterCrash(seed);
      assert.equal(stampNs, BigInt(link!) * 1_000_000_001n);
      seen.add(link!);
    }
    assert.deepEqual([...seen].sort(), ['1', '2', '3']);
  });
});
