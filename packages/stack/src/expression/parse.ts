import { MAX_EXPRESSION_DEPTH, MAX_EXPRESSION_LENGTH } from '../limits.js';
import type { CompareOp, Expression } from './types.js';

/** Why a condition cannot be understood; `at` = index of the character where it begins. */
export interface ExpressionProblem {
  message: string;
  hint: string;
  at: number;
}

export type ParseResult = { ok: true; expression: Expression } | { ok: false; problem: ExpressionProblem };

interface Token {
  kind: 'op' | 'number' | 'string' | 'name' | 'end';
  text: string;
  at: number;
}

const HELP = "Use facts, numbers, 'strings' and ! && || == != < <= > >= ( ).";
const TOKEN =
  /\s*(?:(&&|\|\||==|!=|<=|>=|[!<>()])|(\d+(?:\.\d+)?)|'([^']*)'|([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*))/y;

/** Parses a condition. Weakest first: `||`, `&&`, `== !=`, `< <= > >=`, `!`. Source: bricks.md 5.11. */
export function parseExpression(text: string): ParseResult {
  try {
    if (text.length > MAX_EXPRESSION_LENGTH)
      throw new Misfit(
        `it is longer than ${MAX_EXPRESSION_LENGTH} characters`,
        0,
        'Split the brick, or publish a fact.',
      );
    return { ok: true, expression: new Parser(tokenize(text)).parse() };
  } catch (error) {
    if (!(error instanceof Misfit)) throw error;
    return { ok: false, problem: { message: error.message, hint: error.hint, at: error.at } };
  }
}

class Misfit extends Error {
  constructor(
    message: string,
    readonly at: number,
    readonly hint = HELP,
  ) {
    super(message);
  }
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  const end = text.trimEnd().length;
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < end) {
    const from = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) throw badCharacter(text, from + text.slice(from).search(/\S/));
    const [all, op, number, string, name] = match;
    const at = from + all.search(/\S/);
    if (op !== undefined) tokens.push({ kind: 'op', text: op, at });
    else if (number !== undefined) tokens.push({ kind: 'number', text: number, at });
    else if (string !== undefined) tokens.push({ kind: 'string', text: string, at });
    else tokens.push({ kind: 'name', text: name!, at });
  }
  tokens.push({ kind: 'end', text: 'the end', at: end });
  return tokens;
}

function badCharacter(text: string, at: number): Misfit {
  const char = text[at]!;
  if (char === "'") return new Misfit('this string has no end', at, "Close it with '.");
  if (char === '"') return new Misfit('strings are written in single quotes', at, 'Write \'log\', not "log".');
  if (char === '&' || char === '|') return new Misfit(`"${char}" alone means nothing`, at, `Write "${char}${char}".`);
  if (char === '=') return new Misfit('"=" alone means nothing', at, 'Write "==".');
  if (char === '$')
    return new Misfit('conditions name variables and facts directly', at, 'Write the name without "${" and "}".');
  return new Misfit(`"${char}" is not known here`, at);
}

const EQUALITY: readonly string[] = ['==', '!='];
const ORDER: readonly string[] = ['<', '<=', '>', '>='];

class Parser {
  private next = 0;
  private depth = 0;

  constructor(private readonly tokens: readonly Token[]) {}

  parse(): Expression {
    const expression = this.or();
    const rest = this.peek();
    if (rest.kind !== 'end') throw new Misfit(`"${rest.text}" is not expected here`, rest.at);
    return expression;
  }

  private or(): Expression {
    let left = this.and();
    while (this.takes('||')) left = { kind: 'or', left, right: this.and(), at: left.at };
    return left;
  }

  private and(): Expression {
    let left = this.compare(EQUALITY);
    while (this.takes('&&')) left = { kind: 'and', left, right: this.compare(EQUALITY), at: left.at };
    return left;
  }

  private compare(ops: readonly string[]): Expression {
    const inner = (): Expression => (ops === EQUALITY ? this.compare(ORDER) : this.unary());
    let left = inner();
    for (let op = this.takes(...ops); op !== undefined; op = this.takes(...ops)) {
      left = { kind: 'compare', op: op as CompareOp, left, right: inner(), at: left.at };
    }
    return left;
  }

  private unary(): Expression {
    const { at } = this.peek();
    if (++this.depth > MAX_EXPRESSION_DEPTH)
      throw new Misfit(`more than ${MAX_EXPRESSION_DEPTH} levels inside each other`, at);
    const result: Expression = this.takes('!') !== undefined ? { kind: 'not', of: this.unary(), at } : this.primary();
    this.depth--;
    return result;
  }

  private primary(): Expression {
    const token = this.tokens[this.next++]!;
    if (token.kind === 'number') return { kind: 'value', value: Number(token.text), at: token.at };
    if (token.kind === 'string') return { kind: 'value', value: token.text, at: token.at };
    if (token.kind === 'name') return word(token);
    if (token.text !== '(')
      throw new Misfit(
        `${token.kind === 'end' ? 'the condition ends' : `"${token.text}" stands`} where a fact or value is expected`,
        token.at,
      );
    const inside = this.or();
    if (this.takes(')') === undefined)
      throw new Misfit(
        'a ")" is missing',
        this.peek().at,
        'The "(" it belongs to is at character ' + (token.at + 1) + '.',
      );
    return inside;
  }

  private peek(): Token {
    return this.tokens[this.next]!;
  }

  private takes(...ops: readonly string[]): string | undefined {
    const token = this.peek();
    if (token.kind !== 'op' || !ops.includes(token.text)) return undefined;
    this.next++;
    return token.text;
  }
}

function word({ text, at }: Token): Expression {
  if (text === 'true' || text === 'false') return { kind: 'value', value: text === 'true', at };
  return { kind: 'fact', name: text, at };
}
