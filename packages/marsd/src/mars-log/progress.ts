import { bar, bytesText } from '@mars/bricks-logger/log-format';

/** Columns of the bar; the rest of the line is numbers. */
const BAR_COLUMNS = 30;

/** One line that is drawn over itself, on a terminal only. */
export class ProgressLine {
  private isDrawn = false;

  constructor(
    private readonly to: NodeJS.WriteStream,
    private readonly totalBytes: number,
  ) {}

  show(doneBytes: number, bytesPerSec: number): void {
    if (!this.to.isTTY) return;
    const part = this.totalBytes === 0 ? 1 : doneBytes / this.totalBytes;
    const picture = bar(part, BAR_COLUMNS).padEnd(BAR_COLUMNS);
    const percent = `${Math.floor(part * 100)} %`.padStart(5);
    this.to.write(`\r${picture} ${percent}  ${bytesText(doneBytes)}  ${bytesText(Math.round(bytesPerSec))}/s\x1b[K`);
    this.isDrawn = true;
  }

  end(): void {
    if (this.isDrawn) this.to.write('\r\x1b[K');
    this.isDrawn = false;
  }
}
