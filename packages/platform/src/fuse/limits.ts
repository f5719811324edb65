/** Longest write(2) that arrives in one piece, bytes: one command of the trigger, or one value. Longer ones are cut by the kernel. */
export const MAX_CONTROL_WRITE_BYTES = 128 * 1024;

/** Longest answer to one READ or READDIR, bytes; what the kernel asks for at once without larger requests being agreed on. */
export const MAX_CONTROL_READ_BYTES = 128 * 1024;

/** Control files that may be open at a time, by all programs together. */
export const MAX_OPEN_CONTROL_FILES = 1024;

/** Writes that may be under way at a time (commands that wait for other hosts); beyond it EBUSY. */
export const MAX_PENDING_WRITES = 64;

/** How long `fusermount3` may take, ms. */
export const FUSERMOUNT_TIMEOUT_MS = 10_000;

/** Without FUSE: how often files are brought up to date, ms. */
export const PLAIN_REFRESH_MS = 1000;

/** Without FUSE: a command without a newline counts as complete when nothing follows for so long, ms. */
export const PIPE_SETTLE_MS = 50;

/** Without FUSE: longest command in the pipe, bytes. */
export const MAX_PIPE_COMMAND_BYTES = 64 * 1024;
