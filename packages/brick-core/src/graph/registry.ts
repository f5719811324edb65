import { ErrorCode, MarsError } from '../errors.js';
import { BrickBase } from '../brick/brick-base.js';
import { brickMeta, type BrickClass, type ResolvedMeta } from '../brick/meta.js';
import { didYouMean } from '../params/schema.js';

/** A brick type that can be built. */
export interface BrickType {
  readonly meta: ResolvedMeta;
  readonly cls: BrickClass;
  /** Package that brought it, for messages. */
  readonly source: string;
}

/**
 * The brick types of one host. No global state: a simulation has one registry per host.
 * A name may be registered once; the same class again is harmless, another one is an error (bricks.md 1.1).
 */
export class BrickRegistry {
  private readonly types = new Map<string, BrickType>();
  private readonly aliases = new Map<string, string>();

  /** @throws MarsError BAD_BRICK_CLASS, DUPLICATE_CORE, DUPLICATE_BRICK_TYPE */
  register(classes: readonly BrickClass[], source: string): this {
    for (const cls of classes) this.add(cls, source);
    return this;
  }

  /** @throws MarsError UNKNOWN_BRICK_TYPE, with the nearest known name */
  get(type: string): BrickType {
    const found = this.find(type);
    if (found !== undefined) return found;
    throw new MarsError(ErrorCode.UNKNOWN_BRICK_TYPE, `there is no brick type "${type}"`, {
      hint: `${didYouMean(type, this.names())} "mars-stack list" shows all.`,
      details: { type },
    });
  }

  find(type: string): BrickType | undefined {
    return this.types.get(type) ?? this.types.get(this.aliases.get(type) ?? type.replaceAll('_', '-'));
  }

  names(): string[] {
    return [...this.types.keys()].sort();
  }

  all(): BrickType[] {
    return this.names().map((name) => this.types.get(name)!);
  }

  private add(cls: BrickClass, source: string): void {
    const meta = brickMeta(cls);
    if (meta === undefined) {
      throw new MarsError(
        ErrorCode.BAD_BRICK_CLASS,
        `${source}: class ${cls.name || '(no name)'} has no @Brick table`,
        {
          hint: 'Put @Brick({ type: … }) above the class.',
        },
      );
    }
    if (!(cls.prototype instanceof BrickBase)) throw foreignCore(cls, source);
    const before = this.types.get(meta.type);
    if (before?.cls === cls) return;
    if (before !== undefined) {
      throw new MarsError(
        ErrorCode.DUPLICATE_BRICK_TYPE,
        `brick type "${meta.type}" comes from ${before.source} and from ${source}`,
        {
          hint: 'Remove one of the two packages from the allow list.',
          details: { type: meta.type, sources: [before.source, source] },
        },
      );
    }
    this.types.set(meta.type, { meta, cls, source });
    for (const alias of meta.aliases) this.aliases.set(alias, meta.type);
  }
}

function foreignCore(cls: BrickClass, source: string): MarsError {
  return new MarsError(
    ErrorCode.DUPLICATE_CORE,
    `${source}: class ${cls.name} is built on another copy of @mars/brick-core`,
    {
      hint: 'Make @mars/brick-core a peer dependency of that package, so that it uses the copy of MARS, and install it again.',
      details: { source },
    },
  );
}
