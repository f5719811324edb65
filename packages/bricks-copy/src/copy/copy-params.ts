import type { ParamsSchema } from '@mars/brick-core';
import { DEFAULT_WINDOW } from '../limits.js';

/** What the brick is for; see the parameter `mode`. */
export type CopyMode = 'sync' | 'fetch' | 'verify';

/**
 * What it is doing: `running`; `waiting` for more source (fetch); `pausing` after an error; `stalled`: nothing has come back for a long
 * time; `finished`; `invalid`: the source says that its data must not be used (EMEDIUMTYPE).
 */
export type CopyPhase = 'running' | 'waiting' | 'pausing' | 'stalled' | 'finished' | 'invalid';

/** `CopyBrick`'s parameters as the loader hands them over. */
export interface CopyParams {
  mode: CopyMode;
  start: number;
  end: number;
  full: boolean;
  trustHoles: boolean;
  digest: 'auto' | 'xxh3' | 'sha256';
  window: number;
  prio: 'low' | 'normal' | 'high';
  checkTail: number;
  reportInterval: number;
  stallAfter: number;
}

export const copyParams: ParamsSchema = {
  properties: {
    mode: {
      type: 'string',
      enum: ['sync', 'fetch', 'verify'],
      default: 'sync',
      about:
        'sync: makes the target equal, compares first and copies what differs. fetch: appends what the source has more than the ' +
        'target. verify: compares and counts, changes nothing.',
    },
    start: { unit: 'bytes', default: 0, minimum: 0, about: 'Everything before it is done already.' },
    end: {
      unit: 'bytes',
      default: 0,
      minimum: 0,
      about:
        'Where to stop. 0 = at the end of the smaller one (sync, verify), or follow the source as it grows (fetch).',
    },
    full: { type: 'boolean', default: false, about: 'Copies everything without comparing (sync).' },
    trustHoles: {
      type: 'boolean',
      default: false,
      about:
        'Believes both sides which ranges are holes, and skips them unread: much faster for sparse disks. Off by default: a wrong answer ' +
        'of a file system would be a wrong disk.',
    },
    digest: {
      type: 'string',
      enum: ['auto', 'xxh3', 'sha256'],
      default: 'auto',
      about:
        'How blocks are compared. auto: xxh3 (128 bits) where both sides have it, else sha256. sha256 also withstands ' +
        'somebody who wants two different blocks to look alike.',
    },
    window: {
      unit: 'bytes',
      default: DEFAULT_WINDOW,
      minimum: 1024 * 1024,
      about: 'How far the work may run ahead of the finished part; more for long round trips.',
    },
    prio: { type: 'string', enum: ['low', 'normal', 'high'], default: 'low', about: 'Priority of its requests.' },
    checkTail: {
      unit: 'bytes',
      default: '8M',
      minimum: 0,
      about:
        'fetch: that much in front of "start" is compared with the source first and repaired, because after a power cut the end of ' +
        'a file may hold what was never written.',
    },
    reportInterval: {
      unit: 'ms',
      default: '2s',
      minimum: 10,
      about: 'How often the target is flushed and the finished part published.',
    },
    stallAfter: {
      unit: 'ms',
      default: '180s',
      minimum: 1000,
      about: 'Without any answer for that long it says "stalled".',
    },
  },
};
