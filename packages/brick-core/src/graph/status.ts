import type { BrickBase } from '../brick/brick-base.js';
import type { Led } from '../brick/power.js';
import { XioInfo, capNames } from '../request/info.js';
import type { BrickStats } from '../stats/stats.js';
import { allWires } from './topology.js';

/** A brick as plain data. */
export interface BrickStatus {
  name: string;
  type: string;
  button: boolean;
  led: Led;
  forceOff: boolean;
  percent: number;
  /** Requests that consumers have under way in this brick. */
  held: number;
  /** Provider per input, `null` = not wired. */
  inputs: Record<string, string | null>;
  info: {
    sizeBytes: number;
    alignBytes: number;
    maxLenBytes: number;
    caps: string[];
    fua: number;
    zero: number;
    cache: number;
  } | null;
  stats: BrickStats;
}

/** @param held requests that consumers have under way in this brick */
export function statusOf(brick: BrickBase, held: number): BrickStatus {
  const { power, meta } = brick;
  return {
    name: brick.name,
    type: meta.type,
    button: power.button,
    led: power.led,
    forceOff: power.forceOff,
    percent: power.percent,
    held,
    inputs: inputsOf(brick),
    info: infoOf(brick),
    stats: brick.stats.snapshot(),
  };
}

function inputsOf(brick: BrickBase): BrickStatus['inputs'] {
  const inputs = allWires(brick).map((wire) => [
    wire.nr > 0 ? `${wire.name}[${wire.nr}]` : wire.name,
    wire.provider?.name ?? null,
  ]);
  return Object.fromEntries(inputs) as BrickStatus['inputs'];
}

/** What the first output offers; `null` when there is none, when it is off, or when the brick cannot tell. */
function infoOf(brick: BrickBase): BrickStatus['info'] {
  if (!brick.power.ledOn || brick.meta.outputs.length === 0) return null;
  const info = new XioInfo();
  if (brick.output(brick.meta.outputs[0]!).info(info) < 0) return null;
  return {
    sizeBytes: info.size,
    alignBytes: info.align,
    maxLenBytes: info.maxLen,
    caps: capNames(info.caps),
    fua: info.fua,
    zero: info.zero,
    cache: info.cache,
  };
}
