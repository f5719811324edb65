import type { FactValue, StackEvent } from '@mars/stack';

/**
 * Control socket of a running stack: JSON objects, one per line, UTF-8. Each request carries a number that its answer
 * repeats; after `watch`, events come in between, without a number. Documented in docs/stacks.md.
 */
export type ControlRequest = { id: number } & ControlCommand;

export type ControlCommand =
  | { do: 'status' }
  | { do: 'statistics' }
  | { do: 'reset-statistics' }
  | { do: 'insert'; wire: string; type: string; name?: string; params: string[] }
  | { do: 'remove'; name: string }
  | { do: 'set'; brick: string; params: string[] }
  | { do: 'override'; brick: string; power: 'on' | 'off' | 'auto' }
  | { do: 'facts'; facts: Record<string, FactValue> }
  | { do: 'watch' }
  | { do: 'stop' };

export type ControlAnswer = { id: number; ok: true; result: unknown } | { id: number; ok: false; error: object };
export type ControlMessage = ControlAnswer | { event: StackEvent };

/** Longest line, characters: a status of a thousand bricks fits. */
export const MAX_LINE_LENGTH = 8 * 1024 * 1024;
/** Clients of one socket at the same time. */
export const MAX_CLIENTS = 16;

/** Cuts a byte stream into lines. */
export class LineReader {
  private rest = '';
  private readonly decoder = new TextDecoder();

  constructor(private readonly onLine: (line: string) => void) {}

  /** @returns false when a line is too long: the other side does not speak this protocol */
  push(bytes: Uint8Array): boolean {
    const lines = (this.rest + this.decoder.decode(bytes, { stream: true })).split('\n');
    this.rest = lines.pop()!;
    for (const line of lines) if (line.trim() !== '') this.onLine(line);
    return this.rest.length <= MAX_LINE_LENGTH;
  }
}

const encoder = new TextEncoder();

export function encodeLine(message: object): Uint8Array {
  return encoder.encode(`${JSON.stringify(message)}\n`);
}
