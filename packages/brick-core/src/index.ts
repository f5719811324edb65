import { noteCoreCopy } from './core-copy.js';

noteCoreCopy(import.meta.url);

export { container, inject, injectable, type DependencyContainer, type InjectionToken } from './di.js';
export { CORE_API_VERSION, coreCopies } from './core-copy.js';
export { crashPoint, setCrashHook, type CrashHook } from './crash-point.js';
export * from './errno.js';
export * from './errors.js';
export * from './invariant.js';
export * from './limits.js';
export * from './request/ops.js';
export * from './request/info.js';
export { ARENA_PAGE, Arena, DebugArena, type ArenaLeak } from './request/arena.js';
export { XioObject, type Completer } from './request/xio-object.js';
export { RequestQueue } from './request/request-queue.js';
export { XioPool, type ObjectOwner } from './request/pool.js';
export { Loop, type Batcher, type TickSource } from './loop/loop.js';
export type { FaultOwner } from './loop/fault.js';
export { TimerQueue } from './loop/timer-queue.js';
export type { LoopDriver } from './loop/driver.js';
export * from './machine/clock.js';
export * from './machine/digests.js';
export * from './machine/files.js';
export * from './machine/logger.js';
export * from './machine/net.js';
export * from './machine/random.js';
export * from './machine/ring.js';
export * from './machine/secure-net.js';
export * from './machine/tls.js';
export type { RingSockets, SocketBufferSizes } from './machine/ring-sockets.js';
export { RingQueue, type RingClient, type RingPlace } from './machine/ring-queue.js';
export * from './stats/stats.js';
export * from './params/schema.js';
export * from './params/units.js';
export type { XioInput, XioOutput } from './brick/contract.js';
export {
  Brick,
  PERMISSIONS,
  brickMeta,
  type BrickClass,
  type BrickMeta,
  type Permission,
  type PortMeta,
  type PortNeeds,
  type ResolvedMeta,
} from './brick/meta.js';
export { PowerSwitch, type Led } from './brick/power.js';
export { BrickBase, type BrickContext } from './brick/brick-base.js';
export { FilterBrick } from './brick/filter-brick.js';
export { AGAIN, PASS, Saved, TransformBrick } from './brick/transform-brick.js';
export { AlignBrick, DigestBrick, FuaBrick, SplitBrick, ZeroBrick, adaptorBricks } from './adaptors/index.js';
export { Wire } from './brick/wire.js';
export { BrickRegistry, type BrickType } from './graph/registry.js';
export { Graph, wireText, type BrickStatus, type GraphEvent, type GraphOptions, type WireName } from './graph/graph.js';
export { findGaps, type Gap } from './graph/negotiate.js';
export { BRICKS, composeServices, registerBricks, type HostServices } from './graph/compose.js';
