/** How much a new measurement counts against the average so far. */
const WEIGHT = 0.3;

/** Speed and remaining time of a copy; an honest one says nothing before it has seen anything. */
export class Progress {
  /** Bytes per second; 0 = not known yet. */
  rate = 0;
  private atUs = -1;
  private posBytes = 0;

  /** @param posBytes end of the finished part; when it went back, everything seen so far is forgotten */
  note(nowUs: number, posBytes: number): void {
    if (this.atUs < 0 || posBytes < this.posBytes) {
      this.rate = 0;
    } else if (nowUs > this.atUs) {
      const rate = ((posBytes - this.posBytes) * 1e6) / (nowUs - this.atUs);
      this.rate = this.rate === 0 ? rate : this.rate + WEIGHT * (rate - this.rate);
    }
    this.atUs = nowUs;
    this.posBytes = posBytes;
  }

  /** Seconds until `endBytes`; `null` when nothing can be said. */
  etaSeconds(endBytes: number): number | null {
    const rest = endBytes - this.posBytes;
    if (rest <= 0) return 0;
    return this.rate > 0 ? Math.ceil(rest / this.rate) : null;
  }
}
