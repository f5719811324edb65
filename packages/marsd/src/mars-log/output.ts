/** Text is handed to the terminal or pipe in pieces of this, bytes, so that a dump of many small records is no flood of small writes. */
const PIECE_CHARS = 64 * 1024;

/** Lines for stdout, with back-pressure: a dump of a large log into a slow pipe must not pile up in memory. */
export class LineOutput {
  private text = '';

  constructor(private readonly to: NodeJS.WritableStream) {}

  line(text: string): void {
    this.text += `${text}\n`;
  }

  lines(texts: readonly string[]): void {
    for (const text of texts) this.line(text);
  }

  /** Call it between two pieces of work; waits while the reader is slower than we are. */
  async drain(least = PIECE_CHARS): Promise<void> {
    if (this.text.length < least) return;
    const piece = this.text;
    this.text = '';
    await new Promise<void>((resolve) => this.to.write(piece, () => resolve()));
  }

  async end(): Promise<void> {
    await this.drain(1);
  }
}
