import { createRequire } from 'node:module';

/** What `@mars/native` exports; its `index.d.ts` is the documentation. */
export type Native = typeof import('@mars/native');

const loaded = load();

/** The addon, or null where there is none; {@link nativeReason} then says why. */
export const native: Native | null = loaded.native;
export const nativeReason: string = loaded.reason;

function load(): { native: Native | null; reason: string } {
  if (process.env['MARS_NO_NATIVE'] === '1') return { native: null, reason: 'switched off by MARS_NO_NATIVE=1' };
  try {
    const native = createRequire(import.meta.url)('@mars/native') as Native;
    return native.available ? { native, reason: '' } : { native: null, reason: native.reason };
  } catch (error) {
    return { native: null, reason: `@mars/native cannot be loaded: ${(error as Error).message}` };
  }
}
