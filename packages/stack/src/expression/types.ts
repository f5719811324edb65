/** What a fact may be. */
export type FactValue = string | number | boolean;

/** Facts by name, as the caller and the bricks supply them. */
export type Facts = Readonly<Record<string, FactValue>>;

export type CompareOp = '==' | '!=' | '<' | '<=' | '>' | '>=';

/** A parsed condition; plain data, so a plan can cross to a worker. `at` = index of its first character. */
export type Expression =
  | { kind: 'value'; value: FactValue; at: number }
  | { kind: 'fact'; name: string; at: number }
  | { kind: 'not'; of: Expression; at: number }
  | { kind: 'and' | 'or'; left: Expression; right: Expression; at: number }
  | { kind: 'compare'; op: CompareOp; left: Expression; right: Expression; at: number };

/** Every fact that a condition names, with its first place. */
export function factsOf(expression: Expression): Map<string, number> {
  const found = new Map<string, number>();
  const visit = (e: Expression): void => {
    if (e.kind === 'fact' && !found.has(e.name)) found.set(e.name, e.at);
    if (e.kind === 'not') visit(e.of);
    if ('left' in e) {
      visit(e.left);
      visit(e.right);
    }
  };
  visit(expression);
  return found;
}

/** The same condition with some names replaced by other names or by values. */
export function substitute(e: Expression, replace: (name: string) => string | { value: FactValue }): Expression {
  switch (e.kind) {
    case 'value':
      return e;
    case 'fact': {
      const by = replace(e.name);
      return typeof by === 'string' ? { ...e, name: by } : { kind: 'value', value: by.value, at: e.at };
    }
    case 'not':
      return { ...e, of: substitute(e.of, replace) };
    default:
      return { ...e, left: substitute(e.left, replace), right: substitute(e.right, replace) };
  }
}
