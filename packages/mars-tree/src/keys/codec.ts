import { ErrorCode, MarsError, isMarsError } from '@mars/brick-core';
import { printable } from '../names.js';

/**
 * What the value of a link means, and how it is written.
 *
 * `parse` is exact and is for what somebody wants to write; `read` is forgiving and is for what stands in the tree, which may
 * come from Perl or from a person. For every text that matches `pattern`: `format(parse(text)) === text`.
 */
export interface Codec<T> {
  /** Token of the grammar: `INT`, `STAMP`, `REPLAY` … */
  readonly name: string;
  /** One sentence for the reference. */
  readonly about: string;
  /** The form in which we write it, anchored at both ends. */
  readonly pattern: RegExp;
  /** @throws MarsError BAD_FACT: says what is wrong */
  parse(text: string): T;
  format(value: T): string;
  /** @returns null when no sense can be made of it: the fact counts as missing */
  read(text: string): T | null;
}

/** The value type of a codec. */
export type ValueOf<C> = C extends Codec<infer T> ? T : never;

export interface CodecDescription<T> {
  name: string;
  about: string;
  pattern: RegExp;
  /** Gets what matched `pattern`; may still refuse with {@link badFact}. */
  of: (match: RegExpExecArray) => T;
  format: (value: T) => string;
  /** Default: what `parse` accepts. */
  read?: (text: string) => T | null;
}

export function defineCodec<T>(description: CodecDescription<T>): Codec<T> {
  const { name, about, pattern, of, format } = description;
  const parse = (text: string): T => {
    const match = pattern.exec(text);
    if (match === null) throw badFact(text, `it is no ${name} (${about})`);
    return of(match);
  };
  return { name, about, pattern, parse, format, read: description.read ?? ((text) => orNull(() => parse(text))) };
}

/** @param why end of the sentence `"…" is wrong: ` */
export function badFact(text: string, why: string): MarsError {
  return new MarsError(ErrorCode.BAD_FACT, `"${printable(text)}" is wrong: ${why}`, {
    hint: 'docs/formats/tree.md shows the grammar of every key.',
    details: { value: text },
  });
}

/** `null` in place of a BAD_FACT. */
export function orNull<T>(run: () => T): T | null {
  try {
    return run();
  } catch (error) {
    if (isMarsError(error) && error.code === ErrorCode.BAD_FACT) return null;
    throw error;
  }
}

/** The pattern of a codec without its anchors, as a group, to be built into a larger one. */
export function inner(codec: Codec<unknown>): string {
  return `(?:${codec.pattern.source.replace(/^\^/, '').replace(/\$$/, '')})`;
}

/** Like `codec`, with other words for the reference. */
export function renamed<T>(codec: Codec<T>, name: string, about: string): Codec<T> {
  return { ...codec, name, about };
}
