import { OP_READ, type XioObject } from '@mars/brick-core';

/** Bytes read and written per piece of the device. */
export interface HeatmapReport {
  granuleBytes: number;
  readBytes: number[];
  writtenBytes: number[];
}

/** Counts bytes per piece of the device, in a bounded number of pieces. */
export class Heatmap {
  readonly granuleBytes: number;
  private readonly read: Float64Array;
  private readonly written: Float64Array;

  /** @param maxCells the granule is doubled until that many pieces cover the device */
  constructor(sizeBytes: number, granuleBytes: number, maxCells: number) {
    while (sizeBytes / granuleBytes > maxCells) granuleBytes *= 2;
    this.granuleBytes = granuleBytes;
    const cells = Math.max(1, Math.ceil(sizeBytes / granuleBytes));
    this.read = new Float64Array(cells);
    this.written = new Float64Array(cells);
  }

  /** `len`: the request's own may have changed. What lies beyond the size at the start counts for the last piece. */
  add(o: XioObject, len: number): void {
    const cells = o.op === OP_READ ? this.read : this.written;
    const last = cells.length - 1;
    let cell = Math.min(last, Math.floor(o.pos / this.granuleBytes));
    let room = cell === last ? len : (cell + 1) * this.granuleBytes - o.pos;
    while (len > 0) {
      const here = len < room ? len : room;
      cells[cell]! += here;
      len -= here;
      cell++;
      room = cell >= last ? len : this.granuleBytes;
      if (cell > last) cell = last;
    }
  }

  /** First byte of the piece with the most traffic. */
  hottestByte(): number {
    let best = 0;
    for (let i = 1; i < this.read.length; i++) {
      if (this.read[i]! + this.written[i]! > this.read[best]! + this.written[best]!) best = i;
    }
    return best * this.granuleBytes;
  }

  report(): HeatmapReport {
    return { granuleBytes: this.granuleBytes, readBytes: [...this.read], writtenBytes: [...this.written] };
  }
}
