import { Brick, FILES, inject, type Files } from '@mars/brick-core';
import type { EndOptions, SyncMode } from '../end/open-end.js';
import { RingEnd } from '../end/ring-end.js';

/**
 * A file or a device, asynchronously: log files, both ends of a log transfer, data that is no block device.
 * Source: bricks.md 3.1.
 */
@Brick({
  type: 'aio',
  about: 'A file or device through the page cache (or past it), asynchronously.',
  ops: ['read', 'write', 'flush', 'trim', 'zero', 'extents', 'cache'],
  caps: ['WRITE', 'FLUSH', 'TRIM', 'FAST_ZERO', 'EXTENTS', 'GROW', 'WHOLE', 'ORDERED'],
  params: {
    type: 'object',
    required: ['path'],
    properties: {
      path: { type: 'string', minLength: 1, about: 'File or device.' },
      create: { type: 'boolean', default: false, about: 'Make a missing file, mode 0600.' },
      size: { unit: 'bytes', default: 0, minimum: 0, about: 'Size of a file that is made new.' },
      direct: { type: 'boolean', default: false, about: 'Bypass the page cache (O_DIRECT).' },
      grow: {
        type: 'boolean',
        default: true,
        about: 'Writes may start at or beyond the end of a file. Devices never grow.',
      },
      readonly: { type: 'boolean', default: false, about: 'Refuse every change.' },
      sync: {
        type: 'string',
        enum: ['fdatasync', 'fsync', 'none'],
        default: 'fdatasync',
        about: 'What a flush does. "none" is for throw-away data: nothing is durable then.',
      },
    },
  },
})
export class AioBrick extends RingEnd {
  constructor(@inject(FILES) files: Files) {
    super(files);
  }

  protected override endOptions(): EndOptions {
    const { path, create, size, direct, grow, readonly, sync } = this.ctx.params;
    return {
      path: path as string,
      create: create as boolean,
      direct: direct as boolean,
      readonly: readonly as boolean,
      exclusive: false,
      mayGrow: grow as boolean,
      sync: sync as SyncMode,
      newSizeBytes: size as number,
    };
  }
}
