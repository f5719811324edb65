export { VirtualDriver } from './virtual-driver.js';
export { MemoryDisk, type SeenRequest } from './memory-disk.js';
export { Probe, type ProbeRequest, type ProbeResult } from './probe.js';
export {
  BrickKit,
  Kit,
  StackKit,
  createTestHost,
  useBrickKit,
  useStackKit,
  type BuildStack,
  type HostParts,
  type KitOptions,
  type TestHost,
} from './kit.js';
export { Sink, Spinner, bytesPerRequest, heapGrowthPerRequest } from './allocation.js';
export { describeBrickConformance, type ConformanceOptions } from './conformance.js';
