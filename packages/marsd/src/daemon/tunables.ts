import { EINVAL, ErrorCode, MarsError } from '@mars/brick-core';
import type { ControlFile } from '@mars/platform';

export interface TunableOptions {
  /** Value as long as nobody writes one. */
  initial: number;
  min: number;
  max: number;
  unit: string;
  about: string;
  /** `ro`: for others to read only. */
  mode?: 'rw' | 'ro';
  /** Called with every new value. */
  changed?: (value: number) => void;
}

/** One number that can be read, and mostly set, as a control file. */
export class Tunable implements ControlFile {
  readonly mode: number;
  readonly write?: (text: string) => void;
  private current: number;
  private written = false;

  constructor(
    readonly name: string,
    readonly options: TunableOptions,
  ) {
    this.current = options.initial;
    this.mode = options.mode === 'ro' ? 0o400 : 0o600;
    if (options.mode !== 'ro') this.write = (text) => this.set(parse(this.name, text));
  }

  get value(): number {
    return this.current;
  }

  /** Somebody has set it, here or in `marsd.yaml`. */
  get isWritten(): boolean {
    return this.written;
  }

  read(): string {
    return `${this.current}\n`;
  }

  /** @throws MarsError BAD_CONTROL out of range */
  set(value: number): void {
    const { min, max, unit } = this.options;
    if (value < min || value > max) throw refused(this.name, `${value} is not between ${min} and ${max} ${unit}`);
    this.written = true;
    this.put(value);
  }

  /** A value that the daemon has found out, or follows; does not count as written by somebody. */
  put(value: number): void {
    if (value === this.current) return;
    this.current = value;
    this.options.changed?.(value);
  }
}

/** All tunables of a daemon, by name. */
export class Tunables {
  private readonly all = new Map<string, Tunable>();

  add(name: string, options: TunableOptions): Tunable {
    const tunable = new Tunable(name, options);
    this.all.set(name, tunable);
    return tunable;
  }

  /** Values from `marsd.yaml`. @throws MarsError BAD_PARAMETER, BAD_CONTROL */
  apply(values: Readonly<Record<string, number>>): void {
    for (const [name, value] of Object.entries(values)) {
      const tunable = this.all.get(name);
      if (tunable === undefined || tunable.options.mode === 'ro') {
        throw new MarsError(ErrorCode.BAD_PARAMETER, `marsd.yaml sets "${name}", which cannot be set`, {
          hint: `Tunables: ${[...this.all.values()]
            .filter((t) => t.options.mode !== 'ro')
            .map((t) => t.name)
            .join(', ')}.`,
        });
      }
      tunable.set(value);
    }
  }

  [Symbol.iterator](): IterableIterator<Tunable> {
    return this.all.values();
  }
}

function parse(name: string, text: string): number {
  const trimmed = text.trim();
  if (/^-?\d{1,15}$/.test(trimmed)) return Number(trimmed);
  throw refused(name, `${JSON.stringify(trimmed.slice(0, 40))} is no whole number`);
}

function refused(name: string, why: string): MarsError {
  return new MarsError(ErrorCode.BAD_CONTROL, `${name}: ${why}`, { details: { errno: EINVAL, file: name } });
}
