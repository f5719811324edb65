import { ErrorCode, didYouMean, type SourcePlace } from '@mars/brick-core';
import type { Expression, FactValue } from '../expression/types.js';
import { factsOf, substitute } from '../expression/types.js';
import { parseExpression } from '../expression/parse.js';
import type { Problems } from '../problems.js';
import type { Places, Path } from '../source/places.js';
import type { Condition, LatePart, ParamValue } from './types.js';
import type { Variables } from './vars.js';

/** Facts that the strategy supplies for every resource. Source: bricks.md 5.11. */
export const KNOWN_FACTS: readonly string[] = [
  ...['todo.primary', 'allow.attach', 'allow.connect', 'allow.replay', 'allow.sync', 'replay.needed', 'replay.start'],
  ...['replay.end', 'sync.wanted', 'sync.running', 'sync.pos', 'sync.mayNotPass', 'sync.myDataIsNewer', 'device.open'],
  ...['emergency', 'resource.shutdown', 'size'],
];

/** What whoever keeps the logs of a `log-directory` variable says about them, as `<variable>.<fact>` (docs/stacks.md). */
export const LOG_DIRECTORY_FACTS: readonly string[] = ['mode', 'start', 'end', 'serial'];

/** One element of the list behind a family; `undefined` element = the list has no value (checking a template). */
export interface Item {
  list: string;
  key: string;
  element: unknown;
  isKnown: boolean;
}

/** What a name stands for. */
type Meaning = { value: unknown } | { late: LatePart } | { wrong: string; hint: string };

const REFERENCE = /\$\$\{|\$\{([^}]*)(\}?)/g;

/**
 * What names mean inside one brick: variables, `item`, facts of the strategy, and `<brick>.<fact>`.
 * Serves both `${…}` in parameters and names in conditions, so that both follow the same rules.
 */
export class Scope {
  constructor(
    private readonly vars: Variables,
    /** Base names of bricks; the value is the list of a family, `null` for a single brick. */
    private readonly bricks: ReadonlyMap<string, string | null>,
    private readonly extraFacts: readonly string[],
    private readonly item: Item | null = null,
  ) {}

  forItem(item: Item | null): Scope {
    return new Scope(this.vars, this.bricks, this.extraFacts, item);
  }

  /** Fills in `${…}` everywhere below `value`. A string that is exactly `${x}` becomes the value of x, with its type. */
  interpolate(value: unknown, path: Path, places: Places, problems: Problems): ParamValue {
    if (typeof value === 'string') return this.text(value, path, places, problems);
    if (Array.isArray(value)) return value.map((item, nr) => this.interpolate(item, [...path, nr], places, problems));
    if (typeof value !== 'object' || value === null) return value as ParamValue;
    if ('$late' in value)
      problems.add(ErrorCode.BAD_PARAMETER, 'a parameter cannot be called "$late"', {
        place: places.key([...path, '$late']),
      });
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [key, this.interpolate(inner, [...path, key], places, problems)]),
    );
  }

  /** @returns `null` when it cannot be understood (reported) */
  condition(on: string | boolean | undefined, path: Path, places: Places, problems: Problems): Condition | null {
    if (on === undefined) return { kind: 'default' };
    const text = String(on);
    const parsed = parseExpression(text);
    if (!parsed.ok) {
      const { message, hint, at } = parsed.problem;
      problems.add(ErrorCode.BAD_EXPRESSION, `condition "${text}": ${message}`, {
        hint,
        place: places.inside(path, at),
      });
      return null;
    }
    const isFine = this.namesAreKnown(parsed.expression, text, (at) => places.inside(path, at), problems);
    return isFine
      ? { kind: 'expression', text, expression: substitute(parsed.expression, (name) => this.replacement(name)) }
      : null;
  }

  private text(text: string, path: Path, places: Places, problems: Problems): ParamValue {
    const parts: (LatePart | { value: unknown })[] = [];
    let from = 0;
    for (const match of text.matchAll(REFERENCE)) {
      if (match.index > from) parts.push({ text: text.slice(from, match.index) });
      from = match.index + match[0].length;
      if (match[0] === '$${') parts.push({ text: '${' });
      else parts.push(this.reference(match[1]!.trim(), match[2] === '}', places.inside(path, match.index), problems));
    }
    if (from < text.length) parts.push({ text: text.slice(from) });
    return joined(parts);
  }

  private reference(
    name: string,
    isClosed: boolean,
    place: SourcePlace,
    problems: Problems,
  ): LatePart | { value: unknown } {
    if (!isClosed) {
      problems.add(ErrorCode.BAD_VARIABLE, 'this "${" has no "}"', {
        hint: 'Write "$${" if you mean the characters themselves.',
        place,
      });
      return { missing: name };
    }
    const meaning = this.meaningOf(name);
    if ('late' in meaning) return meaning.late;
    if ('value' in meaning) return meaning;
    problems.add(ErrorCode.BAD_VARIABLE, meaning.wrong, { hint: meaning.hint, place });
    return { missing: name };
  }

  private meaningOf(name: string): Meaning {
    if (this.vars.secrets.has(name)) return { late: { secret: name } };
    if (this.vars.values.has(name)) return { value: this.vars.values.get(name) };
    if (this.vars.missing.has(name)) return { late: { missing: name } };
    if (name === 'item' || name.startsWith('item.')) return this.itemMeaning(name);
    if (KNOWN_FACTS.includes(name) || this.extraFacts.includes(name)) return { late: { fact: name } };
    const [base, fact] = splitFact(name);
    if (fact !== undefined && this.bricks.has(base)) return this.brickFact(base, fact);
    if (fact !== undefined && this.vars.types.get(base) === 'log-directory') return this.logFact(name, fact);
    return this.unknown(name);
  }

  private logFact(name: string, fact: string): Meaning {
    if (LOG_DIRECTORY_FACTS.includes(fact)) return { late: { fact: name } };
    return { wrong: `a log directory has no fact "${fact}"`, hint: didYouMean(fact, LOG_DIRECTORY_FACTS) };
  }

  private unknown(name: string): Meaning {
    const known = [...this.vars.types.keys(), ...this.extraFacts, ...KNOWN_FACTS];
    const hint = didYouMean(name, known);
    const facts = `Facts are todo.primary, allow.attach, …, or <brick>.<fact> (docs/stacks.md).`;
    return { wrong: `there is no variable or fact "${name}"`, hint: known.length > 12 ? `${hint} ${facts}` : hint };
  }

  private itemMeaning(name: string): Meaning {
    if (this.item === null)
      return { wrong: `"${name}" is known only in a family`, hint: 'Add "each: ${list}" to this brick.' };
    if (!this.item.isKnown) return { late: { missing: name } };
    if (name === 'item.key') return { value: this.item.key };
    let at: unknown = this.item.element;
    for (const step of name.split('.').slice(1)) {
      if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) {
        const fields = typeof at === 'object' && at !== null ? Object.keys(at) : [];
        return {
          wrong: `the elements of "${this.item.list}" have no "${step}"`,
          hint: didYouMean(step, ['key', ...fields]),
        };
      }
      at = (at as Record<string, unknown>)[step];
    }
    return { value: at };
  }

  private brickFact(base: string, fact: string): Meaning {
    const list = this.bricks.get(base)!;
    if (list === null) return { late: { fact: `${base}.${fact}` } };
    if (list === this.item?.list) return { late: { fact: `${base}:${this.item.key}.${fact}` } };
    if (fact === 'on' || fact === 'off') return { late: { fact: `${base}.${fact}` } };
    return {
      wrong: `"${base}" is a family: only ${base}.on and ${base}.off are known from outside`,
      hint: 'Inside a family over the same list the member with the same key is meant.',
    };
  }

  private namesAreKnown(
    expression: Expression,
    text: string,
    placeOf: (at: number) => SourcePlace,
    problems: Problems,
  ): boolean {
    let isFine = true;
    for (const [name, at] of factsOf(expression)) {
      const meaning = this.meaningOf(name);
      const wrong = 'wrong' in meaning ? meaning : this.unfit(name, meaning);
      if (wrong === null) continue;
      isFine = false;
      problems.add(ErrorCode.BAD_EXPRESSION, `condition "${text}": ${wrong.wrong}`, {
        hint: wrong.hint,
        place: placeOf(at),
      });
    }
    return isFine;
  }

  private unfit(name: string, meaning: Meaning): { wrong: string; hint: string } | null {
    const isSecret = 'late' in meaning && 'secret' in meaning.late;
    if (isSecret)
      return { wrong: `"${name}" is a secret`, hint: 'Conditions are shown to people; they cannot look at secrets.' };
    const isSimple = !('value' in meaning) || ['string', 'number', 'boolean'].includes(typeof meaning.value);
    return isSimple ? null : { wrong: `"${name}" is a list`, hint: 'Compare texts, numbers and yes/no values.' };
  }

  private replacement(name: string): string | { value: FactValue } {
    const meaning = this.meaningOf(name);
    if ('value' in meaning) return { value: meaning.value as FactValue };
    return 'late' in meaning && 'fact' in meaning.late ? meaning.late.fact : name;
  }
}

function splitFact(name: string): [string, string | undefined] {
  const dot = name.indexOf('.');
  return dot < 0 ? [name, undefined] : [name.slice(0, dot), name.slice(dot + 1)];
}

function joined(parts: readonly (LatePart | { value: unknown })[]): ParamValue {
  if (parts.length === 1 && 'value' in parts[0]!) return parts[0].value as ParamValue;
  const merged: LatePart[] = [];
  for (const part of parts) {
    const known = 'value' in part ? asText(part.value) : 'text' in part ? part.text : undefined;
    const last = merged.at(-1);
    if (known === undefined) merged.push(part as LatePart);
    else if (last !== undefined && 'text' in last) merged[merged.length - 1] = { text: last.text + known };
    else merged.push({ text: known });
  }
  if (merged.length === 0) return '';
  return merged.length === 1 && 'text' in merged[0]! ? merged[0].text : { $late: merged };
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
