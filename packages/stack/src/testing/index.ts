export { describeStackHandle, type StackBench } from './describe-stack-handle.js';
export { playPart, testBricks, TestDev, TestFragile, TestLogger, TrialLogger, type TestPart } from './bricks.js';
