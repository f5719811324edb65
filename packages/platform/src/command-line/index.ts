/** The machine for command-line tools: starts in milliseconds, because neither ring nor arena come with it. */
export { RealFiles } from '../files/real-files.js';
export { RealRandom } from '../random.js';
export { SystemClock } from './system-clock.js';
export { ThisHost, type LineSink, type ProgramResult } from './this-host.js';
export { nativeLogDigests } from '../log-digests.js';
export { onSignal, type StopSignal } from '../process/signals.js';
