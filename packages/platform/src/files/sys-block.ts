import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** What sysfs knows about the disk below a file or device; bytes. */
export interface DiskFacts {
  sizeBytes: number;
  logicalBlockBytes: number;
  isRotational: boolean;
  isReadOnly: boolean;
  canDiscard: boolean;
}

const SECTOR_BYTES = 512;

/** Splits a `dev_t` as stat(2) gives it. Source: gnu_dev_major(3) */
export function devNumbers(dev: bigint): { major: number; minor: number } {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  return { major: Number(major), minor: Number(minor) };
}

function sysDir(dev: bigint): string {
  const { major, minor } = devNumbers(dev);
  return `/sys/dev/block/${major}:${minor}`;
}

/** @returns null for devices without an entry (tmpfs, network and overlay file systems) */
export function diskFacts(dev: bigint): DiskFacts | null {
  const dir = sysDir(dev);
  const sectors = readNumber(join(dir, 'size'));
  if (sectors === null) return null;
  // A partition has no queue of its own: it is that of the disk, one directory up.
  const queue = (name: string): number | null =>
    readNumber(join(dir, 'queue', name)) ?? readNumber(`${dir}/../queue/${name}`);
  return {
    sizeBytes: sectors * SECTOR_BYTES,
    logicalBlockBytes: queue('logical_block_size') ?? SECTOR_BYTES,
    isRotational: queue('rotational') === 1,
    isReadOnly: readNumber(join(dir, 'ro')) === 1,
    canDiscard: (queue('discard_max_bytes') ?? 0) > 0,
  };
}

/**
 * Who holds a block device exclusively, as phrases for a hint: mounts, swap, and devices on top of it (LVM, RAID, dm-crypt),
 * of itself and of its partitions. Empty when nobody can be named: then it is a process with an exclusive descriptor.
 */
export function holdersOf(dev: bigint): string[] {
  const found: string[] = [];
  for (const { name, dir, number } of selfAndPartitions(dev)) {
    for (const mount of mountsOf(number)) found.push(`${name} is mounted on ${mount}`);
    for (const holder of list(join(dir, 'holders'))) found.push(`${name} is part of ${deviceName(holder)}`);
    if (swaps().includes(`/dev/${name}`)) found.push(`${name} is swap space`);
  }
  return found;
}

function selfAndPartitions(dev: bigint): { name: string; dir: string; number: string }[] {
  const dir = sysDir(dev);
  const parts = list(dir)
    .map((entry) => join(dir, entry))
    .filter((part) => readNumber(join(part, 'partition')) !== null);
  return [dir, ...parts].map((at) => ({ dir: at, name: nameOf(at), number: readText(join(at, 'dev')) ?? '' }));
}

function nameOf(dir: string): string {
  try {
    return readlinkSync(dir).split('/').pop()!;
  } catch {
    return dir.split('/').pop()!;
  }
}

/** `dm-3` says little; device mapper keeps the name that people use. */
function deviceName(holder: string): string {
  const mapped = readText(`/sys/block/${holder}/dm/name`);
  return mapped === null ? `/dev/${holder}` : `/dev/mapper/${mapped}`;
}

/** Source: proc(5), /proc/[pid]/mountinfo: third field major:minor, fifth the mount point (blanks as octal). */
function mountsOf(number: string): string[] {
  const lines = (readText('/proc/self/mountinfo') ?? '').split('\n').map((line) => line.split(' '));
  return lines.filter((fields) => fields[2] === number).map((fields) => unescapeOctal(fields[4] ?? ''));
}

function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}

function swaps(): string[] {
  const lines = (readText('/proc/swaps') ?? '').split('\n').slice(1);
  return lines.map((line) => line.split(/\s/)[0]!);
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null; // sysfs has what the driver offers; absence is an answer
  }
}

function readNumber(path: string): number | null {
  const text = readText(path);
  return text === null || !/^\d+$/.test(text) ? null : Number(text);
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}
