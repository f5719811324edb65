import { isMarsError } from '@mars/brick-core';
import { paths } from '@mars/mars-tree';
import type { Job } from '../execute/job.js';
import { Dying } from '../exit.js';
import { MIN_RESOURCE_BYTES, SIZE_STEP_BYTES } from '../limits.js';
import { identifier } from '../parse/names.js';
import { parseSize } from '../parse/size.js';

/** DEV of create- and join-resource: a block device, or a regular file. */
export interface Disk {
  path: string;
  sizeBytes: number;
}

/** Must exist, be ours alone, and be writable. @throws Dying. Source: marsadm.md 8, create-resource; decided.md, "Stacks" */
export async function openDisk(job: Job, path: string | undefined): Promise<Disk> {
  if (path === undefined)
    job.refuse(`command '${job.command}' needs a disk`, `usage: marsadm ${job.command} RES /dev/DISK [NAME] [SIZE]`);
  if (!/^\/[!-~]+$/.test(path)) job.refuse(`disk '${path}' must be an absolute path without blanks`);
  const stat = job.session.world.files.stat(path);
  if (stat === null) job.refuse(`disk '${path}' does not exist`);
  if (stat.kind !== 'block' && stat.kind !== 'file')
    job.refuse(`'${path}' is neither a block device nor a regular file`);
  const isFile = stat.kind === 'file';
  const sizeBytes = await sizeOf(job, path, isFile);
  if (isFile && sizeBytes % SIZE_STEP_BYTES !== 0) {
    job.refuse(
      `the size of '${path}' is not a multiple of ${SIZE_STEP_BYTES} bytes`,
      `truncate -s %${SIZE_STEP_BYTES} ${path}`,
    );
  }
  job.out.say(`${isFile ? 'file' : 'block device'} '${path}': determined size = ${sizeBytes} bytes`);
  return { path, sizeBytes };
}

async function sizeOf(job: Job, path: string, isFile: boolean): Promise<number> {
  const { files } = job.session.world;
  const read = async (write: boolean): Promise<number> => {
    const file = await files.open(path, { write, exclusive: write && !isFile });
    await files.close(file);
    return file.sizeBytes;
  };
  try {
    return await read(true);
  } catch (error) {
    if (!isMarsError(error)) throw error;
    if (!job.force)
      throw new Dying(
        `disk '${path}' cannot be opened: ${error.message}`,
        error.hint === undefined ? [] : [error.hint],
      );
    job.out.warn(`disk '${path}' cannot be opened for writing: ${error.message} (overridden by --force)`);
    return await read(false);
  }
}

/** Size of the resource: that of the disk, or less. @throws Dying */
export function chosenSize(job: Job, disk: Disk, wanted: string | undefined): number {
  const size = wanted === undefined ? disk.sizeBytes : parseSize(wanted);
  if (size > disk.sizeBytes) job.refuse(`disk '${disk.path}' has ${disk.sizeBytes} bytes, which is less than ${size}`);
  if (size <= MIN_RESOURCE_BYTES) job.refuse(`a resource must have more than ${MIN_RESOURCE_BYTES} bytes`);
  if (size < disk.sizeBytes) job.out.say(`reducing size from ${disk.sizeBytes} to ${size}`);
  return size;
}

/** Name below /dev/mars/: free on this host. @throws Dying */
export function deviceName(job: Job, given: string | undefined): string {
  const name = identifier(given ?? job.resource, 'device');
  const { snapshot, host } = job;
  for (const other of snapshot.resources()) {
    if (other === job.resource || snapshot.value(paths.device(other, host)) !== name) continue;
    const text = `device name '${name}' is used by resource '${other}' on host '${host}'`;
    if (snapshot.value(paths.data(other, host)) !== null) job.refuse(text, 'Give another NAME behind the disk.');
    job.out.warn(text);
  }
  return name;
}
