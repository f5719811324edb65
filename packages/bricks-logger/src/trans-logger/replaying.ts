import { ErrorCode, MarsError, type XioInput } from '@mars/brick-core';
import { replayCodeText } from '../log-format/details.js';
import type { DigestEngine } from '../log-format/digests.js';
import type { UnverifiedRule } from '../log-format/scan.js';
import type { LoggerHouse } from './house.js';
import { Replayer, type ReplayEnd } from './replay/index.js';
import { firstSerial } from './serial.js';

/** The parameters as the brick gets them. */
interface ReplayParams {
  'replay-start': number;
  'replay-end': number;
  continuous: boolean;
  'replay-parallel': number;
  'accept-unverified': UnverifiedRule;
}

/**
 * Replay mode: nobody is served, the log of slot 0 is applied to the data device. What is known is published as in logging
 * mode, so that the strategy reads one set of facts. Source: transaction-log.md 3
 */
export class Replaying {
  private readonly replayer: Replayer;
  private serial = 0;

  constructor(
    private readonly house: LoggerHouse,
    private readonly log: XioInput,
  ) {
    this.replayer = new Replayer(house);
  }

  /** @throws MarsError LIMIT_REACHED */
  open(engine: DigestEngine): void {
    const { ctx, data } = this.house;
    const params = ctx.params as unknown as ReplayParams;
    this.serial = firstSerial(this.house, 0);
    ctx.publish('finished', false);
    ctx.publish('replay-code', '0');
    const hasBegun = this.replayer.start({
      log: this.log,
      data,
      startPos: params['replay-start'],
      endPos: params['replay-end'],
      continuous: params.continuous,
      parallel: params['replay-parallel'],
      unverified: params['accept-unverified'],
      engine,
      onProgress: (minPos, endPos) => ctx.publish('replay', `${this.serial},${minPos},${Math.max(0, endPos - minPos)}`),
      onEnd: (end) => this.ended(end),
    });
    if (!hasBegun)
      throw new MarsError(ErrorCode.LIMIT_REACHED, 'there is no memory for a replay', {
        hint: 'Give the loop a larger arena.',
      });
    ctx.publish('state', 'replaying');
  }

  /** Stops at a record boundary; what was applied is drained, flushed and published. */
  end(): Promise<void> {
    return this.replayer.stop();
  }

  applyParams(): void {
    const params = this.house.ctx.params as unknown as ReplayParams;
    if (this.replayer.state !== 'idle') this.replayer.setEnd(params['replay-end']);
  }

  logChanged(): void {
    this.replayer.lookAgain();
  }

  private ended({ code, detail, byteCode, goodEnd }: ReplayEnd): void {
    const { ctx } = this.house;
    ctx.publish('good-end', goodEnd);
    ctx.publish('replay-code', replayCodeText(code, detail, byteCode));
    ctx.publish('state', 'replayed');
    ctx.publish('finished', true);
  }
}
