/** Every bound of the bricks in this package, with its unit and its reason. */

/** Largest store of `ram`, bytes: chunk numbers stay below 2^31 and the top of its table within 512 KiB. */
export const MAX_RAM_BYTES = 16 * 2 ** 40;
/** Largest `image` of `ram`, bytes: it passes through memory in one piece when it is loaded and saved. */
export const MAX_IMAGE_BYTES = 1024 ** 3;
/** Chunks that `ram` keeps after a TRIM for the next writes, so that a trim/write cycle allocates nothing (4 MiB). */
export const MAX_SPARE_CHUNKS = 64;

/** Requests that one `load` keeps under way; the objects come from the pool of the loop, which may be smaller. */
export const MAX_LOAD_DEPTH = 4096;
/** Table of `load` and `check`, in leaves of 256 KiB device each: 5 KiB of memory per leaf, 160 MiB and 8 GiB of device in all. */
export const MAX_HISTORY_LEAVES = 32_768;
/** Sectors with several possible contents (writes under way, failed writes), in list entries of 36 bytes. */
export const MAX_HISTORY_ENTRIES = 2 ** 20;
/** Acknowledged writes that `load` remembers until a flush covers them; a power of two. */
export const MAX_UNFLUSHED_WRITES = 2 ** 16;
/** Length of the reads with which `load` looks at everything it wrote, bytes. */
export const READBACK_BYTES = 128 * 1024;
/** Failures that one brick writes to the log; all are counted. */
export const MAX_REPORTS = 10;

/** Pages that `powerfail` writes back at the same time: enough to keep a disk busy, a small part of the pool. */
export const MAX_FLYING_PAGES = 64;
/** Longest ZERO that `powerfail` keeps volatile, bytes; longer ones would push everything else out and go below at once. */
export const MAX_VOLATILE_ZERO_BYTES = 2 ** 20;
/** How often `powerfail` tries to write everything back when it is switched off, before it gives up with an error. */
export const MAX_STOP_ROUNDS = 4;

/** Pieces of the device that one `stats` counts; two numbers of 8 bytes each, 1 MiB in all. */
export const MAX_HEATMAP_CELLS = 65_536;
/** Sequential streams per direction that `stats` tells apart; looked through for every request. */
export const MAX_TRACKED_STREAMS = 8;
/** Requests that `trace` remembers; 64 bytes each. */
export const MAX_TRACE_ENTRIES = 2 ** 20;
/** Slow requests that one `trace` writes to the log per second; all are counted. */
export const MAX_SLOW_REPORTS_PER_SECOND = 10;
