import { errnoName } from '@mars/brick-core';
import { native, nativeReason } from '../native.js';

/** One protection, and what came of it. */
export interface MarkResult {
  mark: 'io-flusher' | 'memory-lock' | 'oom-score';
  ok: boolean;
  /** Why not, and what to do about it. */
  reason?: string;
}

/** Just above "never": the kernel's out-of-memory killer takes everybody else first. */
export const BLOCK_SERVER_OOM_SCORE = -999;

/**
 * Marks this process as one that serves block devices: under memory pressure the kernel must neither wait for I/O through
 * ourselves, nor swap us out, nor kill us (architecture.md 13). Call it first thing, before threads are started.
 * Nothing here is fatal: the caller logs what failed.
 */
export function markAsBlockServer(): MarkResult[] {
  return [
    attempt('io-flusher', (n) => n.setIoFlusher(), 'Give the service CAP_SYS_RESOURCE, or run it as root.'),
    attempt('memory-lock', (n) => n.lockMemory(), 'Set LimitMEMLOCK=infinity in the service, or run it as root.'),
    attempt(
      'oom-score',
      (n) => n.setOomScore(BLOCK_SERVER_OOM_SCORE),
      'Set OOMScoreAdjust=-999 in the service, or run it as root.',
    ),
  ];
}

function attempt(mark: MarkResult['mark'], run: (n: NonNullable<typeof native>) => number, hint: string): MarkResult {
  if (!native) return { mark, ok: false, reason: nativeReason };
  const status = run(native);
  return status === 0 ? { mark, ok: true } : { mark, ok: false, reason: `${errnoName(status)}. ${hint}` };
}
