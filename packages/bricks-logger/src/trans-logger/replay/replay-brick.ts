import { Brick, BrickBase, ErrorCode, MarsError, inject, type XioInput } from '@mars/brick-core';
import { DIGEST_ENGINE } from '../../digest-engine.js';
import { replayCodeText } from '../../log-format/details.js';
import { portableDigestEngine, type DigestEngine } from '../../log-format/digests.js';
import { PARALLEL_WRITES } from './limits.js';
import { Replayer } from './replayer.js';
import type { ReplayEnd } from './types.js';

/**
 * Replays one logfile onto a disk and does nothing else: the brick of `mars-log replay`, and the smallest host of a
 * {@link Replayer}. Stacks use `trans-logger` with `mode: replay`.
 *
 * Facts: `progress` = `minPos,endPos`; `replay-code` as in transaction-log.md 3.5; `good-end`; `finished` when there is nothing left to do.
 */
@Brick({
  type: 'log-replay',
  about: 'Applies the records of one logfile to a disk.',
  inputs: {
    data: {
      about: 'the disk',
      needs: { maxLen: 64 * 1024, caps: ['WRITE', 'FLUSH'] },
      perm: ['read', 'write'],
      share: [],
    },
    log: { about: 'the logfile', perm: ['read'], share: ['read', 'write', 'resize'] },
  },
  params: {
    type: 'object',
    properties: {
      start: { unit: 'bytes', default: 0, minimum: 0, about: 'Where to begin: a record boundary.' },
      end: { unit: 'bytes', default: 0, minimum: 0, about: 'Where to end; 0 = at the end of the log.' },
      continuous: { type: 'boolean', default: false, about: 'At the end wait for more.' },
      parallel: {
        type: 'integer',
        default: PARALLEL_WRITES,
        minimum: 1,
        maximum: 4096,
        about: 'Writes under way at once.',
      },
      unverified: {
        type: 'string',
        enum: ['until-checksummed', 'always', 'never'],
        default: 'until-checksummed',
        about: 'Which records without a checksum are applied.',
      },
    },
  },
  live: ['end'],
})
export class ReplayBrick extends BrickBase {
  readonly replayer!: Replayer;

  constructor(@inject(DIGEST_ENGINE, { isOptional: true }) private readonly engine: DigestEngine | undefined) {
    super();
  }

  protected override attached(): void {
    const { ctx } = this;
    (this as { replayer: Replayer }).replayer = new Replayer({
      brick: this,
      ctx,
      completer: (complete) => this.completer(complete),
    });
  }

  protected override start(): void {
    const { start, end, continuous, parallel, unverified } = this.ctx.params;
    this.ctx.publish('finished', false);
    this.ctx.publish('replay-code', '0');
    const hasBegun = this.replayer.start({
      log: this.input('log'),
      data: this.input('data'),
      startPos: start as number,
      endPos: end as number,
      continuous: continuous as boolean,
      parallel: parallel as number,
      unverified: unverified as 'always',
      engine: this.engine ?? portableDigestEngine,
      onProgress: (minPos, endPos) => this.ctx.publish('progress', `${minPos},${endPos}`),
      onEnd: (result) => this.ended(result),
    });
    if (!hasBegun)
      throw new MarsError(ErrorCode.LIMIT_REACHED, 'there is no memory for a replay', {
        hint: 'Give the loop a larger arena.',
      });
  }

  protected override draining(): Promise<void> {
    return this.replayer.stop();
  }

  protected override inputChanged(input: XioInput): void {
    if (input.name === 'log') this.replayer.lookAgain();
  }

  protected override liveParam(name: string, value: unknown): void {
    if (name === 'end') this.replayer.setEnd(value as number);
  }

  private ended({ code, detail, byteCode, goodEnd }: ReplayEnd): void {
    this.ctx.publish('good-end', goodEnd);
    this.ctx.publish('replay-code', replayCodeText(code, detail, byteCode));
    this.ctx.publish('finished', true);
  }
}
