export { World, type CrashOrder, type RunOptions, type RunResult, type WorldOptions } from './world/world.js';
export { SimHost, type HostOptions } from './world/host.js';
export { HostCrashed, isHostCrash, Life, type CrashKind } from './world/life.js';
export { Trace, firstDivergence } from './world/trace.js';
export { SimClock, SimDriver } from './clock.js';
export { randomFor, type Latency } from './random.js';
export { SimDisk, DEFAULT_LATENCIES, type DiskOptions, type WatchOptions } from './disk/disk.js';
export { Fault, type DiskOp, type FaultRule } from './disk/faults.js';
export type { JournalModel } from './disk/journal.js';
export type { VolumeOptions } from './disk/volume.js';
export { SimFiles } from './files.js';
export { SimRing } from './ring.js';
export { SimNet } from './net/net.js';
export { SimSecureNet, simCredentials, simFingerprint } from './net/secure-net.js';
export { SimNetwork } from './net/network.js';
export { DEFAULT_LINK, type LinkOptions } from './net/link.js';
export { fileHolds, noLeaks } from './checkers.js';
export {
  defineScenario,
  playOnce,
  playTwice,
  replayCommand,
  scenarioByName,
  scenarios,
  type Outcome,
  type Scenario,
  type ScenarioOptions,
} from './scenario/scenario.js';
export { SimulationFailure, playSeeds, simulate, simulateScenario } from './scenario/simulate.js';
export { runSimCli, type SimCliOutside } from './cli.js';
export { DeviceMemory } from './front/device-memory.js';
export { DEVICE_MEMORY, IfSimBrick } from './front/if-sim.js';
export { SimFileBrick } from './front/sim-file.js';
export { registerSimBricks, startChain, stopGraph, type ChainLink } from './front/stack.js';
export { forEachNth } from './scenario/sweep.js';
export { GARBAGE, NOBODY, SECTOR_BYTES, readStamp, stampSector } from './front/sector-stamp.js';
export { LoggerJudge, type LoggerTruth, type Published } from './logger/judge.js';
export { ClientHistory, type ClientWrite } from './logger/history.js';
export { DiskWatch, contentOf, logName, parseReplayLink, serialFrom, type LoggerPlaces } from './logger/disk-watch.js';
export { IfJudgedBrick, JUDGED_CLIENT, type JudgedClient } from './logger/if-judged.js';
export { invariantOf, violation } from './logger/violation.js';
export { bareKeeper } from './logger/bare-keeper.js';
export { LOGGER_CRASH_POINTS, playCrashStory, type CrashStoryOptions, type StoryReport } from './logger/crash-story.js';
export type { Keeper, LoggerSettings, RunningLogger } from './logger/keeper.js';
export { drawAnswerToTrouble, drawTrouble } from './logger/trouble.js';
