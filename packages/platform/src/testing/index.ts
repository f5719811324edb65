export { describeRing } from './describe-ring.js';
export { RingBench, type OpFields, type RingUnderTest } from './ring-bench.js';
export { sandbox, type Sandbox } from './sandbox.js';
