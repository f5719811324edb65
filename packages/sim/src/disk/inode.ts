import type { FileKind } from '@mars/brick-core';
import { SectorStore, type Coin } from './sectors.js';

/** What a name leads to. Each attribute that a power cut can roll back exists twice: as it is, and as the journal has it. */
export class Inode {
  /** Names of a directory, as written and as durable. */
  readonly names: Map<string, Inode> | null;
  readonly durableNames: Map<string, Inode> | null;
  readonly data: SectorStore | null;
  sizeBytes = 0;
  durableSizeBytes = 0;
  durableMtimeNs: bigint;
  /** Names that lead here, in the written image. */
  links = 0;
  openers = 0;
  /** A device of a fixed size; always there. */
  readonly isDevice: boolean;

  constructor(
    readonly number: number,
    readonly kind: FileKind,
    public mode: number,
    public mtimeNs: bigint,
    /** Where a symlink points to. */
    readonly target: string,
    coin: Coin,
  ) {
    const isDirectory = kind === 'directory';
    this.names = isDirectory ? new Map() : null;
    this.durableNames = isDirectory ? new Map() : null;
    this.data = kind === 'file' || kind === 'block' ? new SectorStore(coin) : null;
    this.durableMtimeNs = mtimeNs;
    this.isDevice = kind === 'block';
  }
}
