export { ALL_KEYS, KEY_GROUPS, checkFact, findKey, keyOf, mayWrite, type FoundKey } from './keys.js';
export type { Deletion, Importance, Key, KeyGroup, KeyKind, Replication, Writer } from './keys/key.js';
export type { Captures } from './keys/path-pattern.js';
export { renderReference } from './keys/render.js';
export { defineCodec, type Codec, type ValueOf } from './keys/codec.js';
export * from './keys/numbers.js';
export * from './keys/hosts.js';
export * from './keys/logs.js';
export * from './keys/texts.js';
export { MESSAGE_KEYS } from './keys/indicators.js';
export {
  NONE,
  TOMBSTONE,
  belowMars,
  checkPath,
  isIdentifier,
  isMergeableDirectory,
  nameClass,
  splitPath,
  whyNoIdentifier,
  whyNoPath,
  whyNoValue,
} from './names.js';
export { paths } from './paths.js';
export { NS_PER_SECOND, formatStamp, readStamp } from './stamp.js';
export { LamportClock, type LamportOptions } from './lamport-clock.js';
export { Directory, Entry, isDirectory, type TreeNode } from './snapshot/entry.js';
export { TreeSnapshot, snapshotText, type Change, type SwitchName } from './snapshot/snapshot.js';
export {
  TreeStore,
  type Fact,
  type MergeOutcome,
  type TreeListener,
  type TreeStoreOptions,
  type WriteOutcome,
} from './store/tree-store.js';
export { compareValues, decideMerge, decidePush, type Decision, type StampedFact } from './store/order.js';
export type { StampResolution } from './store/tree-disk.js';
export type { Problem, ProblemKind } from './store/problems.js';
export { collectTombstones, removeStaleTemporaries, type CollectOptions } from './store/tombstones.js';
export { takeOverOldTree, type Takeover } from './store/takeover.js';
export { continues, firstHalf, versionValue, zeroVersion } from './store/version-digest.js';
export { publishHole, publishProgress, publishSyncEnd, switchToLog, type LogProgress } from './store/publish.js';
export { TreeWatch, type TreeWatchOptions, type WatchCounts } from './watch.js';
export { admitList, fitsTrigger, newClusterId, whyNoPush } from './store/admission.js';
export { TreeExchange, type TreeExchangeOptions } from './exchange/tree-exchange.js';
export type { PeerStatus } from './exchange/status.js';
export type { LogSizes, PeerLog } from './exchange/peer-logs.js';
