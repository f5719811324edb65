import { markAsBlockServer, type MarkResult } from '@mars/platform';

/**
 * `--block-server`: for stacks whose device is used by the kernel of this same host (a loop device, the kernel's NBD client). To free
 * memory the kernel then writes through us, so it must not make us wait for that, swap us out, or kill us.
 *
 * Not by default: a process that the out-of-memory killer passes over is a danger to everybody else, and a stack whose clients are
 * on other hosts gains nothing. What cannot be had is said, and is no reason not to serve.
 */
export function markBlockServer(say: (text: string) => void, mark: () => MarkResult[] = markAsBlockServer): void {
  for (const { mark: what, ok, reason = 'unknown' } of mark())
    if (!ok) say(`block server: ${what} could not be set: ${reason}`);
}
