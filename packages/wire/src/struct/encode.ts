import { invariant } from '@mars/brick-core';
import type { ByteWriter } from './bytes.js';
import type { FieldType, Fields, Struct } from './struct.js';

/** How types are named on the wire. Never re-used. From {@link TAG_OPAQUE} on, values carry their length, so older peers can skip them. */
export const TAGS = {
  int: 1,
  bigint: 1,
  float: 2,
  bool: 3,
  str: 4,
  bytes: 5,
  list: 6,
  optional: 7,
  struct: 8,
} as const;
export const TAG_OPAQUE = 16;

type Encode = (out: ByteWriter, value: never) => void;
const encoders = new WeakMap<Struct, (out: ByteWriter, value: Record<string, unknown>) => void>();

/** Writes the fields of a message in the order of their definition. */
export function encodeFields(out: ByteWriter, struct: Struct, value: object): void {
  encoderOf(struct)(out, value as Record<string, unknown>);
}

function encoderOf(struct: Struct): (out: ByteWriter, value: Record<string, unknown>) => void {
  let encode = encoders.get(struct);
  if (encode === undefined) encoders.set(struct, (encode = buildStruct(struct.fields)));
  return encode;
}

function buildStruct(fields: Fields): (out: ByteWriter, value: Record<string, unknown>) => void {
  const names = Object.keys(fields);
  const steps = names.map((name) => build(fields[name]!));
  return (out, value) => {
    for (let i = 0; i < steps.length; i++) steps[i]!(out, value[names[i]!] as never);
  };
}

function build(type: FieldType): Encode {
  switch (type.kind) {
    case 'int':
      return (out, value: number) => out.int(value);
    case 'bigint':
      return (out, value: bigint) => out.bigint(value);
    case 'float':
      return (out, value: number) => out.float(value);
    case 'bool':
      return (out, value: boolean) => out.u8(value ? 1 : 0);
    case 'str':
      return (out, value: string) => out.str(value);
    case 'bytes':
      return (out, value: Uint8Array) => out.raw(value);
    case 'list':
      return list(build(type.of!));
    case 'optional':
      return optional(build(type.of!));
    case 'struct':
      return encoderOf(type.struct!);
  }
}

function list(item: Encode): Encode {
  return (out, values: readonly never[]) => {
    out.varint(values.length);
    for (let i = 0; i < values.length; i++) item(out, values[i]!);
  };
}

function optional(item: Encode): Encode {
  return (out, value: never) => {
    out.u8(value === null ? 0 : 1);
    if (value !== null) item(out, value);
  };
}

/** Which structs a channel has already described to its peer, and under which number. */
export class Definitions {
  private readonly numbers = new Map<Struct, number>();

  /**
   * Number of a struct on this channel. `define(body)` is called before, once for each struct that is new, inner ones first.
   */
  numberOf(struct: Struct, scratch: ByteWriter, define: (body: Uint8Array) => void): number {
    const known = this.numbers.get(struct);
    if (known !== undefined) return known;
    for (const type of Object.values(struct.fields)) this.defineInner(type, scratch, define);
    const number = this.numbers.size;
    this.numbers.set(struct, number);
    scratch.reset();
    this.describe(struct, number, scratch);
    define(scratch.view());
    return number;
  }

  private defineInner(type: FieldType, scratch: ByteWriter, define: (body: Uint8Array) => void): void {
    if (type.struct !== undefined) this.numberOf(type.struct, scratch, define);
    else if (type.of !== undefined) this.defineInner(type.of, scratch, define);
  }

  private describe(struct: Struct, number: number, out: ByteWriter): void {
    const fields = Object.entries(struct.fields);
    out.varint(number);
    out.str(struct.name);
    out.varint(fields.length);
    for (const [name, type] of fields) {
      out.str(name);
      this.describeType(type, out);
    }
  }

  private describeType(type: FieldType, out: ByteWriter): void {
    out.u8(TAGS[type.kind]);
    if (type.of !== undefined) this.describeType(type.of, out);
    if (type.struct === undefined) return;
    const number = this.numbers.get(type.struct);
    invariant(number !== undefined, 'inner structs are described first');
    out.varint(number);
  }
}
