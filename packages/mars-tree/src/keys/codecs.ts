import type { Codec } from './codec.js';
import * as hosts from './hosts.js';
import * as logs from './logs.js';
import * as numbers from './numbers.js';
import * as texts from './texts.js';

/** All codecs, in the order of the reference. */
export const ALL_CODECS: readonly Codec<unknown>[] = [numbers, hosts, logs, texts].flatMap((module) =>
  Object.values(module as Record<string, unknown>).filter(isCodec),
);

function isCodec(value: unknown): value is Codec<unknown> {
  return typeof value === 'object' && value !== null && 'pattern' in value && 'parse' in value;
}
