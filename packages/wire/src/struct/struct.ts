import { invariant } from '@mars/brick-core';
import { MAX_FIELDS, MAX_NAME_CHARS, MAX_NESTING } from '../limits.js';

/**
 * How a field travels. `int` and `bigint` are one kind on the wire, so a field may grow from one to the other.
 * `D` is what JavaScript sees, and `default` what it sees when the sender does not know the field.
 */
export interface FieldType<D = unknown> {
  readonly kind: 'int' | 'bigint' | 'float' | 'bool' | 'str' | 'bytes' | 'list' | 'optional' | 'struct';
  readonly default: D;
  /** Of lists and optional fields. */
  readonly of?: FieldType;
  readonly struct?: Struct;
}

export interface Fields {
  readonly [name: string]: FieldType;
}

/** A kind of message, or of something inside one. Made by {@link defineStruct}. */
export interface Struct<F extends Fields = Fields> {
  /** The same on all hosts, for ever: `tree.delta`. */
  readonly name: string;
  readonly fields: F;
}

/** What a message of this struct looks like: `type Delta = MessageOf<typeof DELTA>`. */
export type MessageOf<S> =
  S extends Struct<infer F> ? { [K in keyof F]: F[K] extends FieldType<infer D> ? D : never } : never;

/**
 * Describes a message. Field names and types are sent once per channel, so both sides may be of different age:
 * fields that the receiver does not know are skipped, fields that the sender does not know have their default.
 * Never re-use the name of a field for something else; a field whose type has changed counts as missing.
 *
 * ```ts
 * const FACT = defineStruct('tree.fact', { path: t.str, value: t.str, stampNs: t.bigint });
 * const DELTA = defineStruct('tree.delta', { readAtNs: t.bigint, facts: t.list(t.struct(FACT)), next: t.optional(t.str) });
 * ```
 */
export function defineStruct<const F extends Fields>(name: string, fields: F): Struct<F> {
  const names = Object.keys(fields);
  for (const each of [name, ...names])
    invariant(each.length > 0 && each.length <= MAX_NAME_CHARS, `"${each}" cannot name a struct or field`);
  invariant(names.length <= MAX_FIELDS, `${name} has more than ${MAX_FIELDS} fields`);
  const struct: Struct<F> = { name, fields };
  invariant(depthOf(struct) <= MAX_NESTING, `${name} is nested too deeply`);
  return struct;
}

function depthOf(struct: Struct): number {
  return 1 + Math.max(0, ...Object.values(struct.fields).map(typeDepth));
}

function typeDepth({ of, struct }: FieldType): number {
  invariant(
    struct === undefined || Object.keys(struct.fields).length > 0,
    'an empty struct cannot be inside another one',
  );
  if (struct !== undefined) return depthOf(struct);
  return of === undefined ? 0 : 1 + typeDepth(of);
}

const NO_BYTES = new Uint8Array(0);

/** The types of fields. Defaults in brackets: what a receiver sees when the sender does not know the field. */
export const t = {
  /** A whole number, up to ±2^53 (0). */
  int: { kind: 'int', default: 0 } as FieldType<number>,
  /** A whole number of 64 bits with sign: stamps (0n). */
  bigint: { kind: 'bigint', default: 0n } as FieldType<bigint>,
  /** 64 bits (0). */
  float: { kind: 'float', default: 0 } as FieldType<number>,
  /** (false) */
  bool: { kind: 'bool', default: false } as FieldType<boolean>,
  /** Unicode text (''). */
  str: { kind: 'str', default: '' } as FieldType<string>,
  /** Raw bytes, a copy of the receiver's own (none). For large ones see `Channel.sendRaw`. */
  bytes: { kind: 'bytes', default: NO_BYTES } as FieldType<Uint8Array>,
  /** (empty) */
  list: <D>(of: FieldType<D>): FieldType<readonly D[]> => ({ kind: 'list', of, default: Object.freeze<D[]>([]) }),
  /** (null) */
  optional: <D>(of: FieldType<D>): FieldType<D | null> => ({ kind: 'optional', of, default: null }),
  /** One struct inside another (all of its defaults). */
  struct: <F extends Fields>(struct: Struct<F>): FieldType<MessageOf<Struct<F>>> => ({
    kind: 'struct',
    struct,
    default: Object.freeze(defaultsOf(struct)),
  }),
};

/** A message in which nobody has said anything yet. */
export function defaultsOf<F extends Fields>(struct: Struct<F>): MessageOf<Struct<F>> {
  const entries = Object.entries(struct.fields).map(([name, type]) => [name, type.default]);
  return Object.fromEntries(entries) as MessageOf<Struct<F>>;
}
