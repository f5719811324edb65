import { ErrorCode, MarsError, type Files, type OpenFile } from '@mars/brick-core';

/**
 * Looks at the disk that a replay is to change, and keeps a device for itself meanwhile: one that is mounted, or in use by a
 * running daemon, is refused.
 * @returns the handle that keeps it, to be closed at the end; `null` for a regular file
 * @throws MarsError FILE_OPEN, DEVICE_IN_USE, USAGE
 */
export async function claimTarget(files: Files, path: string): Promise<OpenFile | null> {
  const stat = files.stat(path);
  if (stat === null) {
    throw new MarsError(ErrorCode.USAGE, `there is no disk ${path}`, {
      hint: 'Name a block device, or a file that holds the image of one.',
    });
  }
  if (stat.kind === 'file') return null;
  if (stat.kind === 'block') return files.open(path, { write: true, exclusive: true });
  throw new MarsError(ErrorCode.USAGE, `${path} is neither a block device nor a file`, {
    hint: 'Name a block device, or a file that holds the image of one.',
  });
}
