import {
  CQ_WORDS,
  DebugArena,
  EOPNOTSUPP,
  EXTENT_HOLE,
  EXTENT_ZERO,
  IOV_WORDS,
  Loop,
  RING_DSYNC,
  RING_FALLOCATE,
  RING_FSYNC,
  RING_READ,
  RING_WRITE,
  RingQueue,
  SQ_WORDS,
  composeServices,
  container,
  createRandom,
  invariant,
  type FileExtent,
  type FileStat,
  type Files,
  type OpenFile,
  type OpenOptions,
  type Ring,
} from '@mars/brick-core';
import { VirtualDriver, type HostParts } from '@mars/brick-core/testing';

const ENTRIES = 256;

/** One file or device: what reads see, and what a power cut would leave. */
export class MemoryFile {
  store = new Uint8Array(0);
  durable = new Uint8Array(0);
  isBlockDevice = false;
  isReadOnly = false;
  canDiscard = true;
  alignBytes = 1;
  opened = 0;

  resize(sizeBytes: number): this {
    const grown = new Uint8Array(sizeBytes);
    grown.set(this.store.subarray(0, sizeBytes));
    this.store = grown;
    return this;
  }
}

/** One operation as the ring saw it. */
export interface SeenOp {
  code: number;
  posBytes: number;
  lenBytes: number;
  flags: number;
}

/** Files in memory, as far as storage ends need them. */
class MemoryFiles {
  readonly byPath = new Map<string, MemoryFile>();
  readonly open_: MemoryFile[] = [];
  /** Syncs outside of the ring. */
  syncs = 0;

  async open(path: string, options: OpenOptions): Promise<OpenFile> {
    let file = this.byPath.get(path);
    if (file === undefined) {
      if (!options.create) throw Object.assign(new Error(`cannot open ${path}: ENOENT`), { details: { errno: 2 } });
      this.byPath.set(path, (file = new MemoryFile()));
    }
    file.opened++;
    return {
      fd: this.open_.push(file) - 1,
      path,
      isBlockDevice: file.isBlockDevice,
      sizeBytes: file.store.length,
      alignBytes: options.direct ? file.alignBytes : 1,
      preferredBytes: 4096,
      isRotational: false,
      isReadOnly: file.isReadOnly || !options.write,
      canDiscard: file.canDiscard,
    };
  }
  async close(file: OpenFile): Promise<void> {
    this.open_[file.fd]!.opened--;
  }
  stat(path: string): FileStat | null {
    const file = this.byPath.get(path);
    return file === undefined ? null : ({ kind: 'file', sizeBytes: file.store.length } as FileStat);
  }
  size(file: OpenFile): number {
    return this.open_[file.fd]!.store.length;
  }
  async truncate(file: OpenFile, sizeBytes: number): Promise<void> {
    this.open_[file.fd]!.resize(sizeBytes);
  }
  async readAt(file: OpenFile, into: Uint8Array, posBytes: number): Promise<number> {
    const data = this.open_[file.fd]!.store.subarray(posBytes, posBytes + into.length);
    into.set(data);
    return data.length;
  }
  async writeAt(file: OpenFile, from: Uint8Array, posBytes: number): Promise<void> {
    const memory = this.open_[file.fd]!;
    if (posBytes + from.length > memory.store.length) memory.resize(posBytes + from.length);
    memory.store.set(from, posBytes);
  }
  async sync(_file: OpenFile): Promise<void> {
    this.syncs++;
  }
  async syncDir(): Promise<void> {
    this.syncs++;
  }
  extents(_file: OpenFile, posBytes: number, lenBytes: number): FileExtent[] {
    const half = Math.floor(lenBytes / 2);
    return [
      { posBytes, lenBytes: half, type: 0 },
      { posBytes: posBytes + half, lenBytes: lenBytes - half, type: EXTENT_HOLE | EXTENT_ZERO },
    ];
  }
}

/** A ring over {@link MemoryFiles}: does everything at once, unless a script says otherwise. */
export class ScriptedRing implements Ring {
  readonly sq = new Int32Array(ENTRIES * SQ_WORDS);
  readonly cq = new Int32Array(2 * ENTRIES * CQ_WORDS);
  readonly iov = new Int32Array(ENTRIES * IOV_WORDS);
  /** Every operation since {@link record}. */
  seen: SeenOp[] | null = null;
  private readonly bytes: Uint8Array;
  private readonly scripts = new Map<number, number[]>();
  private held: number[] | null = null;
  private count = 0;
  private later: number[] = [];
  private callback: (() => void) | null = null;

  constructor(
    readonly arena: ArrayBuffer,
    private readonly files: MemoryFiles,
  ) {
    this.bytes = new Uint8Array(arena);
  }

  record(): SeenOp[] {
    return (this.seen = []);
  }

  /** Results of the next operations of this code: an errno instead of the work, or so many bytes of it. */
  script(code: number, ...results: number[]): void {
    this.scripts.set(code, results);
  }

  /** From now on results are kept back. */
  hold(): void {
    this.held = [];
  }

  letGo(): void {
    this.later.push(...this.held!);
    this.held = null;
    this.callback?.();
  }

  tick(nOps: number): number {
    this.count = 0;
    for (let i = 0; i < this.later.length; i += 2) this.result(this.later[i]!, this.later[i + 1]!);
    if (this.later.length > 0) this.later = [];
    for (let i = 0; i < nOps; i++) this.start(i * SQ_WORDS);
    return this.count;
  }

  attach(callback: () => void): void {
    this.callback = callback;
  }
  detach(): void {}
  wake(): void {}
  close(): void {}
  run(): never {
    invariant(false, 'a scripted ring blocks nobody');
  }

  private start(at: number): void {
    const { sq } = this;
    const code = sq[at]!;
    const pos = (sq[at + 4]! >>> 0) + sq[at + 5]! * 2 ** 32;
    const len = sq[at + 3]!;
    if (this.seen !== null) this.seen.push({ code, posBytes: pos, lenBytes: len, flags: sq[at + 6]! });
    const scripted = this.scripts.size > 0 ? this.scripts.get(code)?.shift() : undefined;
    const limit = scripted ?? len;
    const result = limit < 0 ? limit : this.perform(code, sq[at + 1]!, sq[at + 2]!, limit, pos, sq[at + 6]!);
    if (this.held !== null) this.held.push(sq[at + 7]!, result);
    else this.result(sq[at + 7]!, result);
  }

  private result(tag: number, result: number): void {
    this.cq[this.count * CQ_WORDS] = tag;
    this.cq[this.count++ * CQ_WORDS + 1] = result;
  }

  private perform(code: number, fd: number, buf: number, len: number, pos: number, flags: number): number {
    const file = this.files.open_[fd]!;
    if (code === RING_READ) return this.read(file, buf, len, pos);
    if (code === RING_WRITE) return this.write(file, buf, len, pos, flags);
    if (code === RING_FSYNC) {
      file.durable = file.store.slice();
      return 0;
    }
    if (code !== RING_FALLOCATE) return -EOPNOTSUPP;
    file.store.fill(0, pos, pos + len);
    return 0;
  }

  private read(file: MemoryFile, buf: number, len: number, pos: number): number {
    const served = Math.max(0, Math.min(len, file.store.length - pos));
    for (let i = 0; i < served; i++) this.bytes[buf + i] = file.store[pos + i]!;
    return served;
  }

  private write(file: MemoryFile, buf: number, len: number, pos: number, flags: number): number {
    if (pos + len > file.store.length) file.resize(pos + len);
    for (let i = 0; i < len; i++) file.store[pos + i] = this.bytes[buf + i]!;
    if (flags & RING_DSYNC) file.durable = file.store.slice();
    return len;
  }
}

export interface ScriptedOptions {
  /** Operations that the ring takes at a time. */
  tags?: number;
}

/** A host for the test kit whose ring and files do as they are told. `machine()` is that of the kit opened last. */
export function scriptedHost({ tags = 1024 }: ScriptedOptions = {}, prepare: (files: MemoryFiles) => void = () => {}) {
  let last: { ring: ScriptedRing; files: MemoryFiles; queue: RingQueue } | null = null;
  const makeHost = async (): Promise<HostParts> => {
    const clock = new VirtualDriver();
    const arena = new DebugArena(new ArrayBuffer(8 * 2 ** 20));
    const loop = new Loop(clock, arena, 128);
    const files = new MemoryFiles();
    prepare(files);
    const ring = new ScriptedRing(arena.memory as ArrayBuffer, files);
    const queue = new RingQueue(ring, null, tags);
    loop.useRing(queue);
    ring.attach(() => loop.kick());
    last = { ring, files, queue };
    const host = composeServices(container.createChildContainer(), {
      loop,
      random: createRandom(1),
      files: files as unknown as Files,
    });
    const parts = {
      clock,
      loop,
      arena,
      container: host,
      runFor: async (ms: number) => clock.advanceMs(ms),
      settle: <T>(promise: Promise<T>) => clock.settle(promise),
    };
    return parts;
  };
  const machine = () => {
    invariant(last !== null, 'no kit was opened on this host');
    return last;
  };
  return { makeHost, machine };
}

/** A regular file of that size at `/f`. */
export function fileOf(sizeBytes: number, facts: Partial<MemoryFile> = {}) {
  return (files: MemoryFiles): void => {
    files.byPath.set('/f', Object.assign(new MemoryFile().resize(sizeBytes), facts));
  };
}
