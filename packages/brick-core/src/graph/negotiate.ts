import type { PortNeeds } from '../brick/meta.js';
import { CAP_DIGESTS, CAP_FLUSH, CAP_WRITE, capByName, type XioInfo } from '../request/info.js';

/** One thing that a provider does not offer although its consumer needs it. */
export interface Gap {
  /** What is missing, for people: `alignment 512 where 1 is needed`. */
  text: string;
  /** The adaptor that can close it, if there is one. */
  adaptor?: { type: 'align' | 'split' | 'zero' | 'fua' | 'digest'; params: Record<string, unknown> };
}

/**
 * Compares what a port needs with what its provider offers. Adaptors come in the order in which they stack up, lowest
 * first: align, split, digest, zero, fua. Source: bricks.md 5.7.
 */
export function findGaps(needs: PortNeeds | undefined, info: Readonly<XioInfo>): Gap[] {
  if (needs === undefined) return [];
  const gaps: Gap[] = [];
  if (needs.align !== undefined && info.align > needs.align) {
    gaps.push({
      text: `positions and lengths must be multiples of ${info.align}, but any multiple of ${needs.align} is sent`,
      adaptor: { type: 'align', params: {} },
    });
  }
  if (needs.maxLen !== undefined && info.maxLen < needs.maxLen) {
    gaps.push({
      text: `requests of at most ${info.maxLen} bytes are taken, but up to ${needs.maxLen} are sent`,
      adaptor: { type: 'split', params: {} },
    });
  }
  if (needs.digests === true && !(info.caps & CAP_DIGESTS)) {
    gaps.push({ text: 'digests are not offered', adaptor: { type: 'digest', params: {} } });
  }
  // What nobody may write needs neither zeroing nor FUA; who must write says so with the capability WRITE.
  if (!(info.caps & CAP_WRITE)) return [...gaps, ...capGaps(needs, info)];
  if (needs.zero !== undefined && info.zero < needs.zero) {
    gaps.push({
      text: `zeroing is ${supportName(info.zero)}, ${supportName(needs.zero)} is needed`,
      ...zeroAdaptor(info, needs.zero),
    });
  }
  if (needs.fua !== undefined && info.fua < needs.fua) {
    gaps.push({
      text: `FUA is ${supportName(info.fua)}, ${supportName(needs.fua)} is needed`,
      ...fuaAdaptor(info, needs.fua),
    });
  }
  return [...gaps, ...capGaps(needs, info)];
}

function capGaps(needs: PortNeeds, info: Readonly<XioInfo>): Gap[] {
  const missing = (needs.caps ?? []).filter((name) => !(info.caps & capByName(name)!));
  return missing.map((name) => ({ text: `${name} is missing` }));
}

function zeroAdaptor(info: Readonly<XioInfo>, wanted: number): Pick<Gap, 'adaptor'> {
  return wanted === 1 && info.caps & CAP_WRITE ? { adaptor: { type: 'zero', params: {} } } : {};
}

function fuaAdaptor(info: Readonly<XioInfo>, wanted: number): Pick<Gap, 'adaptor'> {
  return wanted === 1 && info.caps & CAP_FLUSH ? { adaptor: { type: 'fua', params: {} } } : {};
}

function supportName(support: number): string {
  return ['not possible', 'emulated', 'native'][support] ?? '?';
}
