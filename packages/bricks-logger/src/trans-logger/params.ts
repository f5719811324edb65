import type { ParamsSchema } from '@mars/brick-core';
import { WRITER_MAX_PAYLOAD_LEN } from '../log-format/layout.js';
import { PARALLEL_WRITES } from './replay/limits.js';

/** What happens to a write that cannot be logged; see `emergency.ts`. */
export type OnLogError = 'hold' | 'fail' | 'bypass';

export const transLoggerParams: ParamsSchema = {
  type: 'object',
  properties: {
    mode: {
      type: 'string',
      enum: ['logging', 'replay'],
      default: 'logging',
      about: 'Serve writes and log them, or apply a log to the data device.',
    },
    'log-seq': {
      type: 'integer',
      default: 0,
      minimum: 0,
      about: 'Serial number of the first log; 0 = from the key of its family (log:17), else 1. The next ones count up.',
    },
    'completion-semantics': {
      type: 'integer',
      default: 1,
      minimum: 0,
      maximum: 2,
      about:
        'When writes without FUA are answered. 1 (and 0): when they stand in the log file; 2: when they are durable.',
    },
    'memory-limit': {
      unit: 'bytes',
      default: '128M',
      minimum: 262144,
      about: 'Memory for what is not written back; writes wait above it.',
    },
    'record-bytes': {
      unit: 'bytes',
      default: '16K',
      minimum: 512,
      maximum: WRITER_MAX_PAYLOAD_LEN,
      multipleOf: 512,
      about: 'Longest payload of a record; 4K is what the original writes, up to 31.5K is what it reads.',
    },
    digest: {
      type: 'string',
      enum: ['crc32c', 'crc32', 'md5', 'sha1', 'md5-old'],
      default: 'crc32c',
      about: 'Checksum of records; only what every member supports.',
    },
    compression: {
      type: 'string',
      enum: ['none', 'lzo', 'lz4', 'zlib'],
      default: 'none',
      about: 'Compression of records; only what every member supports.',
    },
    'log-buffer': {
      unit: 'bytes',
      default: '512K',
      minimum: 65536,
      maximum: 2 ** 21,
      about: 'Memory of one block of records; less when memory-limit has not room for eight of them.',
    },
    'unsynced-cap': {
      unit: 'bytes',
      default: '8M',
      minimum: 65536,
      about: 'Bytes of the log that may be written and not yet synced. Recovery relies on it.',
    },
    'sync-after': {
      unit: 'ms',
      default: '2s',
      about: 'What was written to the log is synced after this time at the latest.',
    },
    'report-interval': { unit: 'ms', default: '2s', about: 'How often the replay position is published, at most.' },
    'writeback-maxage': { unit: 'ms', default: '900s', about: 'What is older is written back whatever else goes on.' },
    'writeback-parallel': {
      type: 'integer',
      default: 64,
      minimum: 1,
      maximum: 1024,
      about: 'Writes to the data device at once.',
    },
    'on-log-error': {
      type: 'string',
      enum: ['hold', 'fail', 'bypass'],
      default: 'hold',
      about: 'Writes that cannot be logged wait, fail, or go to the data device unlogged (see bypass-allowed).',
    },
    'bypass-allowed': {
      type: 'boolean',
      default: false,
      about: 'Set by whoever has left the hole in the serials that unlogged writes need.',
    },
    'cease-logging': {
      type: 'boolean',
      default: false,
      about: 'Stop logging as if the log had failed: space runs out.',
    },
    resume: { type: 'boolean', default: true, about: 'Try a log that failed again, and go on when it works.' },
    'replay-start': { unit: 'bytes', default: 0, minimum: 0, about: 'Where a replay begins: a record boundary.' },
    'replay-end': { unit: 'bytes', default: 0, minimum: 0, about: 'Where a replay ends; 0 = at the end of the log.' },
    continuous: { type: 'boolean', default: false, about: 'At the end of the log wait for more.' },
    'replay-parallel': {
      type: 'integer',
      default: PARALLEL_WRITES,
      minimum: 1,
      maximum: 4096,
      about: 'Writes of a replay under way at once.',
    },
    'accept-unverified': {
      type: 'string',
      enum: ['until-checksummed', 'always', 'never'],
      default: 'until-checksummed',
      about: 'Which records without a checksum a replay applies.',
    },
  },
};

export const LIVE_PARAMS = [
  'completion-semantics',
  'memory-limit',
  'on-log-error',
  'bypass-allowed',
  'cease-logging',
  'resume',
  'report-interval',
  'writeback-maxage',
  'writeback-parallel',
  'replay-end',
];
