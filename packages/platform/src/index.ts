export { createPlatform, type Platform, type PlatformOptions } from './platform.js';
export { RealFiles } from './files/real-files.js';
export { RealNet, CONNECT_TIMEOUT_MS } from './net/real-net.js';
export { RealSecureNet } from './net/real-secure-net.js';
export { RealRandom } from './random.js';
export {
  createLogger,
  DEFAULT_LOG_BYTES,
  DEFAULT_LOG_KEEP,
  type ClosableLogger,
  type LoggerOptions,
  type LogLevel,
} from './log.js';
export { AttachDriver, ImmediateDriver } from './loop/event-loop-driver.js';
export { LogSink } from './log-sink.js';
export { machineError } from './errors.js';
export { markAsBlockServer, type MarkResult } from './process/block-server.js';
export { onSignal, type StopSignal } from './process/signals.js';
export { DEFAULT_RUN_DIR, runDir } from './process/run-dir.js';
export { RingThreadDriver, type RingThreadStats } from './loop/ring-thread-driver.js';
export { openRing, type OpenedRing, type RingKind, type RingOptions } from './ring/open-ring.js';
export {
  serveLoopThread,
  type LoopThreadContext,
  type LoopThreadService,
  type LoopThreadSettings,
} from './thread/serve-loop-thread.js';
export {
  spawnLoopThread,
  STOP_TIMEOUT_MS,
  type LoopThread,
  type LoopThreadOptions,
} from './thread/spawn-loop-thread.js';
export * from './fuse/index.js';
export * from './daemon/index.js';
