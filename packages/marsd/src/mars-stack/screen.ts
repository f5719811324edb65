/** What we need of a terminal; tests give one of their own. */
export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): void;
}

/** No colour for people who do not want it, and for files. See no-color.org. */
export function wantsColour(terminal: Terminal, env: NodeJS.ProcessEnv = process.env): boolean {
  return terminal.isTTY === true && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb';
}

const UP_AND_CLEAR = (lines: number): string => `\u001b[${lines}F\u001b[0J`;

/** A block of lines at the end of a terminal that is drawn again in place; other lines may be printed above it. */
export class Screen {
  private shown = 0;
  private last: string[] = [];

  constructor(private readonly terminal: Terminal) {}

  draw(lines: readonly string[]): void {
    this.erase();
    const width = this.terminal.columns ?? 80;
    this.last = lines.map((line) => cut(line, width));
    this.terminal.write(this.last.map((line) => `${line}\n`).join(''));
    this.shown = this.last.length;
  }

  /** A line that stays, above the block. */
  print(line: string): void {
    this.erase();
    this.terminal.write(`${line}\n`);
    if (this.last.length > 0) this.draw([...this.last]);
  }

  /** Takes the block away. */
  clear(): void {
    this.erase();
    this.last = [];
  }

  private erase(): void {
    if (this.shown > 0) this.terminal.write(UP_AND_CLEAR(this.shown));
    this.shown = 0;
  }
}

const ESCAPE = '\u001b';
const COLOUR_CODE = new RegExp(`(${ESCAPE}\\[[0-9;]*m)`);

/** A line that wraps would break the counting of lines; colour codes take no room. */
function cut(line: string, width: number): string {
  let room = width;
  let out = '';
  for (const part of line.split(COLOUR_CODE)) {
    if (part.startsWith(`${ESCAPE}[`)) out += part;
    else {
      out += [...part].slice(0, room).join('');
      room = Math.max(0, room - [...part].length);
    }
  }
  return out;
}
