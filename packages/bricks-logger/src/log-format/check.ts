/** Stops on our own mistakes. */
export function check(ok: boolean, text: string): asserts ok {
  if (!ok) throw new Error(`invariant violated: ${text}`);
}
