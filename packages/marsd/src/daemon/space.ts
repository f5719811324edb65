/** Free-space limits below which a file system counts as small, bytes. Source: decided.md, *Log and tree* */
const SMALL_BYTES = 32 * 2 ** 30;
/** On a small one, each limit that nobody has written is this part of its size. */
const SMALL_PART = 16;
const GIB = 2 ** 30;

/** `required_free_space_1_gb` … `_4_gb`. */
export interface SpaceLimit {
  gib: number;
  /** Somebody wrote it; then it counts as it stands, however small `/mars` is. */
  isWritten: boolean;
}

export interface SpaceFacts {
  totalBytes: number;
  /** For unprivileged users, less dirty memory of loggers. */
  availableBytes: number;
  /** Limits 1 to 4. */
  limits: readonly [SpaceLimit, SpaceLimit, SpaceLimit, SpaceLimit];
}

export interface SpaceVerdict {
  /** 0 = enough … 4 = loggers cease. */
  level: EmergencyLevel;
  /** What is published: free and total beyond the limits, bytes, not below 0. */
  restBytes: number;
  totalBytes: number;
  /** Sum of the four limits, bytes. */
  requiredBytes: number;
}

export type EmergencyLevel = 0 | 1 | 2 | 3 | 4;

/** How short of space `/mars` is: the limits cumulate from the fourth to the first. Source: symlink-tree.md 6.8 */
export function judgeSpace({ totalBytes, availableBytes, limits }: SpaceFacts): SpaceVerdict {
  const bytes = limits.map((limit) => limitBytes(limit, totalBytes));
  let sum = 0;
  let level: EmergencyLevel = 0;
  for (let nr = 4; nr >= 1; nr--) {
    sum += bytes[nr - 1]!;
    if (level === 0 && availableBytes < sum) level = nr as EmergencyLevel;
  }
  return {
    level,
    restBytes: Math.max(0, availableBytes - sum),
    totalBytes: Math.max(0, totalBytes - sum),
    requiredBytes: sum,
  };
}

function limitBytes({ gib, isWritten }: SpaceLimit, totalBytes: number): number {
  const isSmall = totalBytes < SMALL_BYTES;
  return isSmall && !isWritten ? Math.floor(totalBytes / SMALL_PART) : gib * GIB;
}

/** The level rises at once and falls by one per round, and only if it may. Source: symlink-tree.md 6.8 */
export function nextLevel(now: number, measured: EmergencyLevel, mayFall: boolean): number {
  if (measured >= now) return measured;
  return mayFall ? now - 1 : now;
}

export function gibOf(bytes: number): number {
  return Math.floor(bytes / GIB);
}
