import { ENOSPC, invariant, type FileKind, type SeededRandom } from '@mars/brick-core';
import { Inode } from './inode.js';
import { Journal, type JournalModel } from './journal.js';
import { PAGE, coinOf, type Coin } from './sectors.js';

/**
 * Sees every change of the written image as it happens, beside all services: for judges that must not rely on what the code
 * under test believes. It must not change anything.
 */
export interface DiskObserver {
  /** `bytes` stand at `pos` now. */
  wrote(inode: Inode, pos: number, bytes: Uint8Array): void;
  zeroed(inode: Inode, pos: number, len: number): void;
  /** The size was set; growth by a write is not told. */
  resized(inode: Inode, from: number, to: number): void;
  /** A name leads somewhere else now; `null` = it is gone. */
  named(dir: Inode, name: string, inode: Inode | null): void;
}

export interface VolumeOptions {
  capacityBytes?: number;
  /** What a power cut leaves of unsynced names; default `journal`. */
  journal?: JournalModel;
}

/** How kindly a power cut treats one file: share of its unsynced sectors that made it to the disk. */
const SURVIVAL = [0, 0.1, 0.5, 0.9, 1];

/** Numbers inodes; one per host, so that a number means one thing only. */
export interface Numbers {
  next: number;
}

/** One file system: a tree of inodes as written, the same as durable, and the journal between them. */
export class Volume {
  readonly root: Inode;
  readonly journal: Journal;
  readonly capacityBytes: number;
  /** Bytes of file data in the written image. */
  usedBytes = 0;
  observer: DiskObserver | null = null;
  private readonly coin: Coin;
  private readonly opened = new Set<Inode>();

  constructor(
    /** Device number, as `stat` shows it. */
    readonly device: number,
    private readonly numbers: Numbers,
    private readonly random: SeededRandom,
    options: VolumeOptions = {},
  ) {
    this.capacityBytes = options.capacityBytes ?? 64 * 2 ** 30;
    this.journal = new Journal(options.journal ?? 'journal');
    this.coin = coinOf(random, 0.25);
    this.root = this.newInode('directory', 0o755, 0n);
    this.root.links = 1;
  }

  newInode(kind: FileKind, mode: number, mtimeNs: bigint, target = ''): Inode {
    return new Inode(this.numbers.next++, kind, mode, mtimeNs, target, this.coin);
  }

  link(dir: Inode, name: string, inode: Inode, atNs: number): void {
    this.forget(dir.names!.get(name));
    dir.names!.set(name, inode);
    inode.links++;
    this.journal.add({ kind: 'link', dir, name, inode }, atNs);
    this.observer?.named(dir, name, inode);
  }

  unlink(dir: Inode, name: string, atNs: number): void {
    this.forget(dir.names!.get(name));
    dir.names!.delete(name);
    this.journal.add({ kind: 'unlink', dir, name }, atNs);
    this.observer?.named(dir, name, null);
  }

  rename(dir: Inode, name: string, toDir: Inode, toName: string, atNs: number): void {
    const inode = dir.names!.get(name)!;
    if (toDir.names!.get(toName) === inode) return;
    this.forget(toDir.names!.get(toName));
    dir.names!.delete(name);
    toDir.names!.set(toName, inode);
    this.journal.add({ kind: 'rename', dir, name, toDir, toName, inode }, atNs);
    this.observer?.named(dir, name, null);
    this.observer?.named(toDir, toName, inode);
  }

  setTime(inode: Inode, mtimeNs: bigint, atNs: number): void {
    inode.mtimeNs = mtimeNs;
    this.journal.add({ kind: 'time', inode, mtimeNs }, atNs);
  }

  setSize(inode: Inode, sizeBytes: number, atNs: number): void {
    const from = inode.sizeBytes;
    this.changeSize(inode, sizeBytes, atNs);
    this.observer?.resized(inode, from, sizeBytes);
  }

  private changeSize(inode: Inode, sizeBytes: number, atNs: number): void {
    const from = inode.sizeBytes;
    inode.sizeBytes = sizeBytes;
    if (sizeBytes > from) return this.journal.add({ kind: 'grow', inode, from, to: sizeBytes }, atNs);
    if (sizeBytes === from) return;
    const cut = this.charged(inode, () => inode.data!.cut(sizeBytes));
    this.journal.add({ kind: 'cut', inode, to: sizeBytes, cut }, atNs);
  }

  /**
   * Writes as much as there is room for and lets the file grow.
   * @returns bytes written, or -ENOSPC
   */
  write(inode: Inode, pos: number, bytes: Uint8Array, atNs: number): number {
    const fits = inode.isDevice ? bytes.length : this.fitting(inode, pos, bytes.length);
    if (fits === 0 && bytes.length > 0) return -ENOSPC;
    this.charged(inode, () => inode.data!.write(pos, bytes.subarray(0, fits)));
    if (!inode.isDevice && pos + fits > inode.sizeBytes) this.changeSize(inode, pos + fits, atNs);
    this.observer?.wrote(inode, pos, bytes.subarray(0, fits));
    return fits;
  }

  /** Does something to the data of an inode and accounts for the room that it takes afterwards. */
  charged<T>(inode: Inode, work: () => T): T {
    const before = inode.data!.usedBytes;
    const result = work();
    if (!inode.isDevice) this.usedBytes += inode.data!.usedBytes - before;
    return result;
  }

  hasRoom(inode: Inode, pos: number, len: number): boolean {
    return this.usedBytes + inode.data!.missingPages(pos, len) * PAGE <= this.capacityBytes;
  }

  open(inode: Inode): void {
    inode.openers++;
    this.opened.add(inode);
  }

  close(inode: Inode): void {
    invariant(inode.openers > 0, 'a simulated file was closed twice');
    if (--inode.openers > 0) return;
    this.opened.delete(inode);
    this.releaseIfUnused(inode);
  }

  /** The process is gone: its descriptors are closed. */
  closeAll(): void {
    for (const inode of this.opened) {
      inode.openers = 0;
      this.releaseIfUnused(inode);
    }
    this.opened.clear();
  }

  /** Power is gone: the durable image, plus a seeded part of what was not synced, is all there is. */
  crash(atNs: number): void {
    const { random } = this;
    const share = random.int(4);
    // None, all, or some of the journal: the ends of the range are the interesting ones.
    this.journal.crash(
      atNs,
      () => (share === 0 ? 0 : share === 1 ? 1 - 2 ** -32 : random.float()),
      coinOf(random, 0.5),
    );
    this.opened.clear();
    this.usedBytes = 0;
    this.revive(this.root);
  }

  private revive(inode: Inode): void {
    inode.links = 1;
    inode.openers = 0;
    if (inode.kind === 'symlink') inode.mtimeNs = inode.durableMtimeNs;
    if (inode.data !== null) this.reviveData(inode);
    if (inode.names === null) return;
    inode.names.clear();
    for (const [name, child] of inode.durableNames!) {
      inode.names.set(name, child);
      this.revive(child);
    }
  }

  private reviveData(inode: Inode): void {
    const { random } = this;
    if (!inode.isDevice) inode.sizeBytes = inode.durableSizeBytes;
    inode.data!.crash(coinOf(random, SURVIVAL[random.int(SURVIVAL.length)]!), inode.sizeBytes);
    if (!inode.isDevice) this.usedBytes += inode.data!.usedBytes;
  }

  private forget(inode: Inode | undefined): void {
    if (inode === undefined) return;
    inode.links--;
    this.releaseIfUnused(inode);
  }

  private releaseIfUnused(inode: Inode): void {
    if (inode.links === 0 && inode.openers === 0 && inode.data !== null) this.usedBytes -= inode.data.usedBytes;
  }

  /** Bytes from `pos` on for which there is room. */
  private fitting(inode: Inode, pos: number, len: number): number {
    if (this.hasRoom(inode, pos, len)) return len;
    let fits = 0;
    let room = Math.floor((this.capacityBytes - this.usedBytes) / PAGE);
    while (fits < len) {
      const part = Math.min(PAGE - ((pos + fits) % PAGE), len - fits);
      room -= inode.data!.missingPages(pos + fits, part);
      if (room < 0) break;
      fits += part;
    }
    return fits;
  }
}
