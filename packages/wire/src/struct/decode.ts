import { invariant } from '@mars/brick-core';
import { MAX_FIELDS, MAX_NAME_CHARS, MAX_NESTING, MAX_STRUCTS } from '../limits.js';
import { protocolError, type ByteReader } from './bytes.js';
import { TAGS, TAG_OPAQUE } from './encode.js';
import { defaultsOf, type FieldType, type Struct } from './struct.js';

/** A type as the peer has described it. */
interface RemoteType {
  tag: number;
  of: RemoteType | null;
  struct: RemoteStruct | null;
}

interface RemoteField {
  name: string;
  type: RemoteType;
}

/** A struct as the peer has described it; its fields may be others than ours. */
export interface RemoteStruct {
  readonly name: string;
  readonly fields: readonly RemoteField[];
  readonly depth: number;
}

export type Decode = (from: ByteReader) => unknown;

/** The structs that a peer has described on one channel, by number. */
export class RemoteStructs {
  private readonly structs: RemoteStruct[] = [];
  private readonly names = new Set<string>();

  /** Takes the body of a definition. @throws MarsError WIRE_PROTOCOL */
  define(from: ByteReader): void {
    const number = from.varint();
    if (number !== this.structs.length || number >= MAX_STRUCTS) throw protocolError('a struct has the wrong number');
    const name = nameFrom(from);
    if (this.names.has(name)) throw protocolError(`the struct ${name} is described twice`);
    const count = from.varint();
    if (count > MAX_FIELDS) throw protocolError(`the struct ${name} has too many fields`);
    const fields: RemoteField[] = [];
    const seen = new Set<string>();
    for (let i = 0; i < count; i++) {
      const field = { name: nameFrom(from), type: this.typeFrom(from, 0) };
      if (seen.has(field.name)) throw protocolError(`the field ${name}.${field.name} is described twice`);
      seen.add(field.name);
      fields.push(field);
    }
    if (from.left > 0) throw protocolError('a description is too long');
    const depth = 1 + Math.max(0, ...fields.map(({ type }) => depthOf(type)));
    if (depth > MAX_NESTING) throw protocolError(`the struct ${name} is nested too deeply`);
    this.names.add(name);
    this.structs.push({ name, fields, depth });
  }

  get(number: number): RemoteStruct {
    const struct = this.structs[number];
    if (struct === undefined) throw protocolError('a message is of a struct that was not described');
    return struct;
  }

  private typeFrom(from: ByteReader, depth: number): RemoteType {
    const tag = from.u8();
    if (depth > MAX_NESTING) throw protocolError('a type is nested too deeply');
    if (tag === TAGS.list || tag === TAGS.optional) return { tag, of: this.typeFrom(from, depth + 1), struct: null };
    if (tag === TAGS.struct) {
      const struct = this.get(from.varint());
      // Everything inside a message takes at least one byte, so the work of reading is bounded by what was sent.
      if (struct.fields.length === 0) throw protocolError('an empty struct is inside another one');
      return { tag, of: null, struct };
    }
    if (tag === 0 || (tag > TAGS.struct && tag < TAG_OPAQUE)) throw protocolError(`there is no type ${tag}`);
    return { tag, of: null, struct: null };
  }
}

function nameFrom(from: ByteReader): string {
  const name = from.str();
  if (name.length === 0 || name.length > MAX_NAME_CHARS) throw protocolError('a name is empty or too long');
  return name;
}

function depthOf(type: RemoteType): number {
  if (type.struct !== null) return type.struct.depth;
  return type.of === null ? 0 : 1 + depthOf(type.of);
}

/** How to read the peer's version of a struct as ours. */
export function decoderFor(remote: RemoteStruct, local: Struct): Decode {
  const steps: { name: string | null; read: Decode }[] = remote.fields.map(({ name, type }) => {
    const mine = Object.hasOwn(local.fields, name) ? local.fields[name]! : null;
    const read = mine === null ? null : reader(type, mine);
    return read === null ? { name: null, read: skipper(type) } : { name, read };
  });
  const defaults = defaultsOf(local);
  return (from) => {
    const message: Record<string, unknown> = { ...defaults };
    for (const { name, read } of steps) {
      const value = read(from);
      if (name !== null) message[name] = value;
    }
    return message;
  };
}

/** null: what the peer sends cannot be taken for what we mean. */
function reader(remote: RemoteType, local: FieldType): Decode | null {
  if (remote.tag !== TAGS[local.kind]) return relaxed(remote, local);
  switch (local.kind) {
    case 'int':
      return (from) => from.int();
    case 'bigint':
      return (from) => from.bigint();
    case 'float':
      return (from) => from.float();
    case 'bool':
      return (from) => from.bool();
    case 'str':
      return (from) => from.str();
    case 'bytes':
      return (from) => from.raw();
    case 'list':
      return listReader(reader(remote.of!, local.of!));
    case 'optional':
      return optionalReader(reader(remote.of!, local.of!), null);
    case 'struct':
      return decoderFor(remote.struct!, local.struct!);
  }
}

/** A field may become optional from one version to the next, and back. */
function relaxed(remote: RemoteType, local: FieldType): Decode | null {
  if (remote.tag === TAGS.optional) return optionalReader(reader(remote.of!, local), local.default);
  return local.kind === 'optional' ? reader(remote, local.of!) : null;
}

function listReader(item: Decode | null): Decode | null {
  if (item === null) return null;
  return (from) => {
    const count = from.count();
    const items: unknown[] = [];
    for (let i = 0; i < count; i++) items.push(item(from));
    return items;
  };
}

function optionalReader(item: Decode | null, absent: unknown): Decode | null {
  return item === null ? null : (from) => (from.bool() ? item(from) : absent);
}

function skipper({ tag, of, struct }: RemoteType): Decode {
  if (tag >= TAG_OPAQUE) return skipBytes;
  switch (tag) {
    case TAGS.int:
      return (from) => from.skipInt();
    case TAGS.float:
      return (from) => void from.skip(8);
    case TAGS.bool:
      return (from) => void from.u8();
    case TAGS.str:
    case TAGS.bytes:
      return skipBytes;
    case TAGS.list:
      return skipList(skipper(of!));
    case TAGS.optional: {
      const skip = skipper(of!);
      return (from) => (from.bool() ? skip(from) : undefined);
    }
    default: {
      invariant(struct !== null, 'a type without a reader');
      return structSkipper(struct);
    }
  }
}

const skippers = new WeakMap<RemoteStruct, Decode>();

/** One per struct: without memory, a few structs nested in many fields each would ask for billions of closures. */
function structSkipper(struct: RemoteStruct): Decode {
  let skip = skippers.get(struct);
  if (skip === undefined) {
    const skips = struct.fields.map((field) => skipper(field.type));
    skip = (from) => {
      for (const each of skips) each(from);
    };
    skippers.set(struct, skip);
  }
  return skip;
}

const skipBytes: Decode = (from) => void from.skip(from.varint());

function skipList(skip: Decode): Decode {
  return (from) => {
    const count = from.count();
    for (let i = 0; i < count; i++) skip(from);
  };
}
