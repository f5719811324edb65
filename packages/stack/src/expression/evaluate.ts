import type { Expression, FactValue, Facts } from './types.js';

/** `undefined` = the fact is not known (yet). */
type Lookup = (name: string) => FactValue | undefined;

/**
 * Is the condition met? A fact that nobody supplied counts as false, and every comparison with it is false: what is not
 * known never switches anything on by being compared.
 */
export function isMet(expression: Expression, lookup: Lookup): boolean {
  return truth(evaluate(expression, lookup));
}

export function lookupIn(facts: Facts): Lookup {
  return (name) => (Object.hasOwn(facts, name) ? facts[name] : undefined);
}

/**
 * Why a condition that is not met is not met: the facts that decide it, with their values.
 * `todo.primary && (allow.attach || device.open)` → `todo.primary is false`
 */
export function whyNot(expression: Expression, lookup: Lookup): string {
  return [...new Set(blockers(expression, lookup, true))].join(', ') || 'it is never true';
}

function evaluate(e: Expression, lookup: Lookup): FactValue | undefined {
  switch (e.kind) {
    case 'value':
      return e.value;
    case 'fact':
      return lookup(e.name);
    case 'not':
      return !truth(evaluate(e.of, lookup));
    case 'and':
      return truth(evaluate(e.left, lookup)) && truth(evaluate(e.right, lookup));
    case 'or':
      return truth(evaluate(e.left, lookup)) || truth(evaluate(e.right, lookup));
    case 'compare':
      return compare(e.op, evaluate(e.left, lookup), evaluate(e.right, lookup));
  }
}

/** Numbers other than 0 and strings other than '' are true, as people expect of `resource.shutdown` = 1. */
function truth(value: FactValue | undefined): boolean {
  return value !== undefined && value !== false && value !== 0 && value !== '';
}

function compare(op: string, a: FactValue | undefined, b: FactValue | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  if (op === '==') return a === b;
  if (op === '!=') return a !== b;
  // An order exists between numbers only; '10' < '9' would surprise everybody.
  if (typeof a !== 'number' || typeof b !== 'number') return false;
  return op === '<' ? a < b : op === '<=' ? a <= b : op === '>' ? a > b : a >= b;
}

/** Facts that keep `e` from being `wanted`. */
function blockers(e: Expression, lookup: Lookup, wanted: boolean): string[] {
  if (truth(evaluate(e, lookup)) === wanted) return [];
  switch (e.kind) {
    case 'value':
      return [];
    case 'fact':
      return [factText(e.name, lookup)];
    case 'not':
      return blockers(e.of, lookup, !wanted);
    case 'and':
    case 'or':
      return [...blockers(e.left, lookup, wanted), ...blockers(e.right, lookup, wanted)];
    case 'compare':
      return [e.left, e.right].flatMap((side) =>
        side.kind === 'fact' ? [factText(side.name, lookup)] : blockers(side, lookup, wanted),
      );
  }
}

function factText(name: string, lookup: Lookup): string {
  const value = lookup(name);
  return value === undefined
    ? `${name} is not known`
    : `${name} is ${typeof value === 'string' ? `'${value}'` : String(value)}`;
}
