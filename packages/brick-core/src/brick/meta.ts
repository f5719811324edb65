import { injectable } from '../di.js';
import { ErrorCode, MarsError } from '../errors.js';
import { capByName } from '../request/info.js';
import { OP_COUNT, OP_FLUSH, OP_NAMES, OP_READ, OP_WRITE, type OpName } from '../request/ops.js';
import { badDefault, type ParamsSchema } from '../params/schema.js';
import type { BrickBase } from './brick-base.js';

/** What a consumer may do on a provider, and what it lets others do meanwhile (bricks.md 5.7). */
export type Permission = 'read' | 'write' | 'resize';
export const PERMISSIONS: readonly Permission[] = ['read', 'write', 'resize'];

/** What a port asks of its provider; gaps are filled with adaptors, or the stack is refused. */
export interface PortNeeds {
  /** Largest alignment that the consumer can keep, bytes. 1 = it sends any position and length. */
  align?: number;
  /** Longest request that the consumer sends, bytes. */
  maxLen?: number;
  /** Names of `CAP_*`: `['FLUSH', 'WHOLE']`. */
  caps?: readonly string[];
  /** At least: 1 = emulated will do, 2 = native. */
  fua?: 0 | 1 | 2;
  zero?: 0 | 1 | 2;
  /** DIGESTS are asked for. */
  digests?: boolean;
}

export interface PortMeta {
  /** What it is for, for `mars-stack show`. */
  about?: string;
  /** May stay without a provider. */
  optional?: boolean;
  /** A group of that many slots, filled by the members of a family in order of appearance. */
  group?: number;
  needs?: PortNeeds;
  /**
   * What this consumer does; a filter without `perm` asks for what its own consumers ask for. Others ask for read and write.
   */
  perm?: readonly Permission[];
  /** What others may do meanwhile (default: read). */
  share?: readonly Permission[];
}

/** The table above a brick class: everything that can be known without building one. Source: bricks.md 5.2, 5.9. */
export interface BrickMeta {
  /** Core types are bare (`delay`), foreign ones carry a scope (`acme/latency`). */
  type: string;
  /** One sentence for people. */
  about?: string;
  /** Other names that stack files may use; `trans_logger` for `trans-logger`. */
  aliases?: readonly string[];
  inputs?: Record<string, PortMeta>;
  /** Default: one output `out` when the class has an `io` method, none otherwise. */
  outputs?: readonly string[];
  /**
   * Operations that the type understands; others are masked and never reach it. Default: read, write, flush.
   * Only a pure observer may say `'all'`: it also lets operations pass that are invented after it was written.
   */
  ops?: readonly (number | OpName)[] | 'all';
  params?: ParamsSchema;
  /** Parameters that may change while the brick is on. */
  live?: readonly string[];
  /** Capabilities that it offers when all goes well (ends), for `mars-stack show`; what counts is `info`. */
  caps?: readonly string[];
}

/** `BrickMeta` with every default filled in. */
export interface ResolvedMeta {
  readonly type: string;
  readonly about: string;
  readonly aliases: readonly string[];
  readonly inputs: Readonly<Record<string, PortMeta>>;
  readonly outputs: readonly string[];
  /** Bits `1 << OP_*`. */
  readonly ops: number;
  readonly params: ParamsSchema;
  readonly live: readonly string[];
  readonly caps: readonly string[];
}

// The constructor parameters of a brick are whatever it injects.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type BrickClass = new (...args: any[]) => BrickBase;

// Symbol.for: the mark is readable across two copies of this package, so that the loader can refuse the second one.
const BRICK_META = Symbol.for('mars.brick');

const TYPE_PATTERN = /^([a-z0-9-]+\/)?[a-z][a-z0-9-]*$/;
const PORT_PATTERN = /^[a-z][a-z0-9_]*$/;

/** Registers what a brick class is, and makes it injectable. The table is checked here, at import. */
export function Brick(meta: BrickMeta): (cls: BrickClass) => void {
  return (cls) => {
    Object.defineProperty(cls, BRICK_META, { value: resolve(meta, cls) });
    injectable()(cls);
  };
}

/** The table of a class; `undefined` when it carries no `@Brick`. */
export function brickMeta(cls: object): ResolvedMeta | undefined {
  return (cls as Record<symbol, ResolvedMeta | undefined>)[BRICK_META];
}

function resolve(meta: BrickMeta, cls: BrickClass): ResolvedMeta {
  const refuse = (what: string, hint: string): never => {
    throw new MarsError(ErrorCode.BAD_BRICK_CLASS, `@Brick of ${cls.name}: ${what}`, { hint });
  };
  if (!TYPE_PATTERN.test(meta.type))
    refuse(`"${meta.type}" is no type name`, 'Use lower case and hyphens, like "acme/latency".');
  for (const port of [...Object.keys(meta.inputs ?? {}), ...(meta.outputs ?? [])]) {
    if (!PORT_PATTERN.test(port)) refuse(`"${port}" is no port name`, 'Use lower case, digits and underscores.');
  }
  const unknownCap = [
    ...(meta.caps ?? []),
    ...Object.values(meta.inputs ?? {}).flatMap((p) => p.needs?.caps ?? []),
  ].find((name) => capByName(name) === undefined);
  if (unknownCap !== undefined) refuse(`no capability is called "${unknownCap}"`, 'See CAP_* in @mars/brick-core.');
  const missing = (meta.live ?? []).find((name) => meta.params?.properties?.[name] === undefined);
  if (missing !== undefined) refuse(`"live" names the parameter "${missing}"`, 'Declare it under "params.properties".');
  const unreadable = badDefault(meta.params ?? {});
  if (unreadable !== undefined)
    refuse(`the default of "${unreadable}" has no unit, or a wrong one`, 'Write it like "20ms" or "64K".');
  return {
    type: meta.type,
    about: meta.about ?? '',
    aliases: meta.aliases ?? [],
    inputs: meta.inputs ?? {},
    outputs: meta.outputs ?? ('io' in cls.prototype ? ['out'] : []),
    ops: opMask(meta.ops ?? [OP_READ, OP_WRITE, OP_FLUSH], refuse),
    params: { type: 'object', properties: {}, additionalProperties: false, ...meta.params },
    live: meta.live ?? [],
    caps: meta.caps ?? [],
  };
}

function opMask(ops: readonly (number | OpName)[] | 'all', refuse: (what: string, hint: string) => never): number {
  if (ops === 'all') return -1;
  return ops.reduce<number>((mask, op) => {
    const number = typeof op === 'number' ? op : OP_NAMES.indexOf(op);
    if (number < 0 || number >= OP_COUNT) refuse(`no operation is called "${op}"`, `Known: ${OP_NAMES.join(', ')}.`);
    return mask | (1 << number);
  }, 0);
}
