import { invariant } from '@mars/brick-core';
import { isIdentifier } from '../names.js';
import { inner } from './codec.js';
import { HOST } from './hosts.js';
import { SEQ } from './numbers.js';

/** Parts of a path that were captured: `{ RES: 'r1', HOST: 'nodea' }`. Sequence numbers stay text, with their zeros. */
export type Captures = Readonly<Record<string, string>>;

const CAPTURES: Readonly<Record<string, { expression: string; about: string }>> = {
  HOST: { expression: inner(HOST), about: 'the host to which the key belongs' },
  PEER: { expression: inner(HOST), about: 'another host' },
  RES: { expression: inner(HOST), about: 'a resource' },
  SEQ: { expression: inner(SEQ), about: 'a log number, zero padded to at least nine digits' },
  KEY: { expression: '.+', about: 'any name' },
  NAME: { expression: '.+', about: 'any name' },
  REST: { expression: '.+', about: 'any path below' },
  NUMBER: { expression: '\\d{9,15}', about: 'number of a request, zero padded' },
  NNN: { expression: '\\d{3}', about: 'three digits' },
  SECONDS: { expression: '\\d{1,11}', about: 'seconds since 1970' },
  N: { expression: '[0-5]', about: 'number of a message class' },
  CLASS: { expression: '(?:debug|info|warn|error|fatal|total)', about: 'name of a message class' },
};

/** What the captures mean, for the reference. */
export function captureTable(): { name: string; about: string }[] {
  return Object.entries(CAPTURES).map(([name, { about }]) => ({ name, about }));
}

/** Fills a pattern. @throws InvariantError when a part is missing: paths are built by our own code */
export function fillPath(pattern: string, parts: Captures): string {
  return pattern.replace(/\{([A-Z]+)\}/g, (_, name: string) => {
    const part = parts[name];
    invariant(part !== undefined, `the path ${pattern} needs {${name}}`);
    return part;
  });
}

/** One name of a pattern, or its `{REST}`. */
interface Step<T> {
  /** What the name begins with; most candidates are dismissed by it without an expression. */
  prefix: string;
  expression: RegExp;
  isRest: boolean;
  node: Node<T>;
}

interface Node<T> {
  value: T | null;
  readonly literals: Map<string, Node<T>>;
  /** Patterns that capture little come before those that capture anything. */
  readonly steps: Step<T>[];
}

/** Patterns of paths, searched name by name: literal names first, so `userspace/systemd-trigger` is not `userspace/{KEY}`. */
export class PathIndex<T> {
  private readonly root: Node<T> = emptyNode();

  add(pattern: string, value: T): void {
    let node = this.root;
    for (const name of pattern.split('/')) node = name.includes('{') ? stepOf(node, name) : literalOf(node, name);
    invariant(node.value === null, `two keys have the path ${pattern}`);
    node.value = value;
  }

  find(path: string): { value: T; parts: Captures } | null {
    const parts: Record<string, string> = {};
    const value = search(this.root, path.split('/'), 0, parts);
    return value === null ? null : { value, parts };
  }
}

function search<T>(node: Node<T>, names: readonly string[], at: number, parts: Record<string, string>): T | null {
  if (at === names.length) return node.value;
  const name = names[at]!;
  const literal = node.literals.get(name);
  const found = literal === undefined ? null : search(literal, names, at + 1, parts);
  if (found !== null) return found;
  for (const step of node.steps) {
    if (!name.startsWith(step.prefix)) continue;
    const match = step.expression.exec(step.isRest ? names.slice(at).join('/') : name);
    if (match === null || !namesAreValid(match.groups!)) continue;
    const deeper = search(step.node, names, step.isRest ? names.length : at + 1, parts);
    if (deeper === null) continue;
    Object.assign(parts, match.groups);
    return deeper;
  }
  return null;
}

function namesAreValid({ HOST: host, PEER: peer, RES: resource }: Record<string, string | undefined>): boolean {
  return [host, peer, resource].every((name) => name === undefined || isIdentifier(name));
}

function emptyNode<T>(): Node<T> {
  return { value: null, literals: new Map(), steps: [] };
}

function literalOf<T>(node: Node<T>, name: string): Node<T> {
  const known = node.literals.get(name);
  if (known !== undefined) return known;
  const made = emptyNode<T>();
  node.literals.set(name, made);
  return made;
}

function stepOf<T>(node: Node<T>, name: string): Node<T> {
  const expression = compileName(name);
  const known = node.steps.find((step) => step.expression.source === expression.source);
  if (known !== undefined) return known.node;
  const step = {
    prefix: name.slice(0, name.indexOf('{')),
    expression,
    isRest: name === '{REST}',
    node: emptyNode<T>(),
  };
  node.steps.push(step);
  // The longest literal start decides first: `msg-needed-connection-with-{PEER}` before `{KEY}`.
  node.steps.sort((a, b) => b.prefix.length - a.prefix.length);
  return step.node;
}

/** `version-{SEQ}-{HOST}` as an expression with named groups, anchored. */
function compileName(name: string): RegExp {
  const source = name
    .split(/(\{[A-Z]+\})/)
    .map((part) => {
      if (!part.startsWith('{')) return part.replace(/[.+]/g, '\\$&');
      const capture = part.slice(1, -1);
      const known = CAPTURES[capture];
      invariant(known !== undefined, `a key uses the unknown capture {${capture}}`);
      return `(?<${capture}>${known.expression})`;
    })
    .join('');
  return new RegExp(`^${source}$`);
}
