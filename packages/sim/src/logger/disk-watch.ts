import { NOBODY, SECTOR_BYTES, readStamp } from '../front/sector-stamp.js';
import type { Inode } from '../disk/inode.js';
import type { DiskObserver } from '../disk/volume.js';
import type { SimHost } from '../world/host.js';
import { LoggerJudge, type LoggerTruth, type Published } from './judge.js';

/** Where everything lies on the disk of a host. */
export interface LoggerPlaces {
  /** Directory of the logfiles and of the links. */
  logs: string;
  /** File or device below the logger. */
  data: string;
  /** Name of the host in the names of files and links. */
  host: string;
}

const scratch = new Uint32Array(SECTOR_BYTES / 4);
const scratchBytes = new Uint8Array(scratch.buffer);

/** What a sector holds, wherever it stands; see {@link readStamp}. */
export function contentOf(bytes: Uint8Array, at: number, sector: number): number {
  scratchBytes.set(bytes.subarray(at, at + SECTOR_BYTES));
  return readStamp(scratch, 0, sector);
}

/**
 * Shows a {@link LoggerJudge} what happens on the disk of a host, and answers its questions from the two images of that disk.
 * An error of the judge ends the world.
 */
export class DiskWatch implements DiskObserver, LoggerTruth {
  readonly judge: LoggerJudge;
  /** Called with every other change of a name in the directory of the logs. */
  onName: (name: string, inode: Inode | null) => void = () => {};
  private readonly bytes = new Uint8Array(SECTOR_BYTES);
  private readonly other = new Uint8Array(SECTOR_BYTES);

  constructor(
    private readonly host: SimHost,
    private readonly places: LoggerPlaces,
    deviceBytes: number,
  ) {
    this.judge = new LoggerJudge(deviceBytes, this, contentOf);
    host.disk.observe(this);
  }

  wrote(inode: Inode, pos: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (inode === this.dataInode()) return this.dataWritten(pos, bytes.length, bytes);
    const serial = this.serialOf(inode);
    if (serial !== null) this.guard(() => this.judge.logWritten(serial, pos, bytes));
  }

  zeroed(inode: Inode, pos: number, len: number): void {
    if (inode === this.dataInode()) this.dataWritten(pos, len, null);
  }

  resized(inode: Inode, from: number, to: number): void {
    const serial = this.serialOf(inode);
    if (serial !== null && to < from) this.guard(() => this.judge.logCut(serial, to));
  }

  named(dir: Inode, name: string, inode: Inode | null): void {
    if (dir !== this.dirInode()) return;
    if (name === `replay-${this.places.host}` && inode?.kind === 'symlink') {
      const next = parseReplayLink(inode.target);
      this.guard(() => this.judge.publish(next));
    }
    this.onName(name, inode);
  }

  logDurableBytes(serial: number, fromBytes: number): number {
    const dir = this.dirInode();
    const inode = this.logInode(serial);
    if (dir === null || inode === null || !isNamedForGood(dir, inode)) return 0;
    const end = Math.min(inode.sizeBytes, inode.durableSizeBytes);
    for (let pos = fromBytes - (fromBytes % SECTOR_BYTES); pos < end; pos += SECTOR_BYTES) {
      if (inode.data!.isSynced(pos, SECTOR_BYTES)) continue;
      const same = this.bytesInBothImages(inode, pos);
      if (same < SECTOR_BYTES) return Math.max(fromBytes, Math.min(pos + same, end));
    }
    return Math.max(fromBytes, end);
  }

  /** The last sector of a file that grows is written again and again; what was in it before is as durable as it was. */
  private bytesInBothImages(inode: Inode, pos: number): number {
    inode.data!.read(pos, this.bytes);
    inode.data!.readDurable(pos, this.other);
    const at = this.bytes.findIndex((byte, i) => byte !== this.other[i]);
    return at < 0 ? SECTOR_BYTES : at;
  }

  dataContent(sector: number, image: 'written' | 'durable'): number {
    const data = this.dataInode()?.data;
    if (data == null) return NOBODY;
    if (image === 'written') data.read(sector * SECTOR_BYTES, this.bytes);
    else data.readDurable(sector * SECTOR_BYTES, this.bytes);
    return contentOf(this.bytes, 0, sector);
  }

  /** The page cache forgets everything that it believes to be on the disk. */
  evict(): void {
    this.dataInode()?.data?.evict();
    for (const inode of this.dirInode()?.names?.values() ?? []) inode.data?.evict();
  }

  /** The host has just died. */
  crashed(): void {
    this.judge.crashed((serial) => {
      const inode = this.logInode(serial);
      if (inode === null) return null;
      const bytes = new Uint8Array(inode.sizeBytes);
      inode.data!.read(0, bytes);
      return bytes;
    });
  }

  private dataWritten(pos: number, len: number, bytes: Uint8Array | null): void {
    // A write that fails may end inside a sector, which then holds neither old nor new data until it is written again.
    for (let at = 0; at + SECTOR_BYTES <= len; at += SECTOR_BYTES) {
      const sector = (pos + at) / SECTOR_BYTES;
      const content = bytes === null ? NOBODY : contentOf(bytes, at, sector);
      this.guard(() => this.judge.dataWritten(sector, content));
    }
  }

  private guard(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.host.world.fail(error);
    }
  }

  private dirInode(): Inode | null {
    return this.host.disk.tryFind(this.places.logs)?.inode ?? null;
  }

  private dataInode(): Inode | null {
    return this.host.disk.tryFind(this.places.data)?.inode ?? null;
  }

  private logInode(serial: number): Inode | null {
    return this.dirInode()?.names?.get(logName(serial, this.places.host)) ?? null;
  }

  private serialOf(inode: Inode): number | null {
    if (inode.kind !== 'file') return null;
    for (const [name, child] of this.dirInode()?.names ?? []) {
      if (child === inode) return serialFrom(name);
    }
    return null;
  }
}

export function logName(serial: number, host: string): string {
  return `log-${String(serial).padStart(9, '0')}-${host}`;
}

/** `null` for any other name. */
export function serialFrom(name: string): number | null {
  const found = /^log-(\d{9})-/.exec(name);
  return found === null ? null : Number(found[1]);
}

/** `log-000000003-a,81920,4096` */
export function parseReplayLink(value: string): Published {
  const [log = '', pos, dirty] = value.split(',');
  return { serial: serialFrom(log) ?? NaN, posBytes: Number(pos), dirtyBytes: Number(dirty) };
}

function isNamedForGood(dir: Inode, inode: Inode): boolean {
  for (const child of dir.durableNames!.values()) if (child === inode) return true;
  return false;
}
