import {
  ErrorCode,
  MarsError,
  OP_NAMES,
  SUPPORT_NONE,
  MAX_REQUEST_BYTES,
  advertisedOps,
  createRandom,
  type XioInfo,
} from '@mars/brick-core';
import { MAX_HISTORY_LEAVES } from '../limits.js';
import { LEAF_SECTORS, SECTOR_BYTES } from '../verify/sector-history.js';
import { badParameter, parseMix, parseSizes } from './load-params.js';
import { WINDOW_BYTES, Workload } from './workload.js';

/** The parameters that shape the sequence of requests; sizes are bytes. */
export interface LoadParams {
  mix: string;
  sizes: unknown;
  start: number;
  span: number;
  align: number;
  access: 'random' | 'sequential';
  /** Percent. */
  fua: number;
  verify: boolean;
  seed: number;
}

/** Leaves of the history that a window can touch when it is not aligned. */
const LEAVES_PER_WINDOW = WINDOW_BYTES / (LEAF_SECTORS * SECTOR_BYTES) + 1;

/**
 * Fits what was asked for to the provider that is really there.
 * @throws MarsError BAD_PARAMETER, SIZE_MISMATCH, CAPABILITY_GAP
 */
export function planWorkload(params: LoadParams, below: Readonly<XioInfo>): Workload {
  const sizes = parseSizes(params.sizes, MAX_REQUEST_BYTES);
  const lengths = sizes.map(({ value }) => value);
  const unit = Math.max(below.align, params.verify ? SECTOR_BYTES : 1);
  const alignBytes = Math.max(params.align || Math.min(...lengths), unit);
  const spanBytes = params.span || Math.floor((below.size - params.start) / alignBytes) * alignBytes;
  checkOps(params, below);
  checkSpan(params.start, spanBytes, Math.max(...lengths), below);
  checkAlign([alignBytes, params.start, ...lengths], unit, params.verify);
  return new Workload(
    {
      ops: parseMix(params.mix),
      sizes,
      startBytes: params.start,
      spanBytes,
      alignBytes,
      isSequential: params.access === 'sequential',
      fuaShare: params.fua / 100,
      windows: params.verify ? windowsFor(spanBytes) : 0,
    },
    createRandom(params.seed),
  );
}

function checkOps({ mix, fua }: LoadParams, below: Readonly<XioInfo>): void {
  const offered = advertisedOps(below);
  const missing = parseMix(mix).find(({ value, weight }) => weight > 0 && !(offered & (1 << value)));
  if (missing !== undefined) {
    throw new MarsError(ErrorCode.CAPABILITY_GAP, `load: the brick below does not offer "${OP_NAMES[missing.value]}"`, {
      hint: 'Take it out of "mix", or choose another brick below.',
    });
  }
  if (fua > 0 && below.fua === SUPPORT_NONE) {
    throw new MarsError(ErrorCode.CAPABILITY_GAP, 'load: the brick below does not offer FUA', {
      hint: 'Set "fua: 0", or put a "fua" brick in between.',
    });
  }
}

function checkSpan(startBytes: number, spanBytes: number, longest: number, below: Readonly<XioInfo>): void {
  if (longest > below.maxLen) {
    throw badParameter(
      'sizes',
      `${longest} bytes are more than ${below.maxLen}, the most that is taken below`,
      'Choose smaller sizes, or put a "split" brick in between.',
    );
  }
  if (spanBytes >= longest && startBytes + spanBytes <= below.size) return;
  throw new MarsError(
    ErrorCode.SIZE_MISMATCH,
    `load: ${spanBytes} bytes from ${startBytes} on do not fit: the brick below has ${below.size} bytes, requests up to ${longest}`,
    { hint: 'Change "start", "span" or "sizes".' },
  );
}

function checkAlign(all: readonly number[], unit: number, isVerifying: boolean): void {
  const odd = all.find((bytes) => bytes % unit !== 0);
  if (odd === undefined) return;
  const isOurs = isVerifying && unit === SECTOR_BYTES;
  const why = isOurs ? 'verification works on sectors of 512 bytes' : `the brick below wants multiples of ${unit}`;
  throw badParameter('sizes, start or align', `${odd} is not possible: ${why}`, `Use multiples of ${unit} bytes.`);
}

/** 0 when the whole span can be remembered, else the number of windows that can. */
function windowsFor(spanBytes: number): number {
  const leaves = Math.ceil(spanBytes / (LEAF_SECTORS * SECTOR_BYTES)) + 1;
  return leaves <= MAX_HISTORY_LEAVES ? 0 : Math.floor(MAX_HISTORY_LEAVES / LEAVES_PER_WINDOW);
}
