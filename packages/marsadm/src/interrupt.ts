import type { Clock } from '@mars/brick-core';
import { Dying } from './exit.js';

/**
 * A clock that wakes its sleepers when somebody wants to stop: their wait ends with a {@link Dying}, so that a command can put right what must
 * not stay half done. @param signal its reason is shown
 */
export function interruptible(clock: Clock, signal: AbortSignal): Clock {
  return {
    get nowUs() {
      return clock.nowUs;
    },
    wallNs: () => clock.wallNs(),
    after: (delayMs, arg, fn) => clock.after(delayMs, arg, fn),
    async sleep(ms) {
      try {
        await clock.sleep(ms, { signal });
      } catch (error) {
        if (!signal.aborted) throw error;
        throw new Dying(String(signal.reason), ['What was switched stays switched; look at it with "marsadm view".']);
      }
    },
  };
}
