import { ErrorCode, MarsError, type Files } from '@mars/brick-core';
import type { StackSource } from '@mars/stack';
import { fileURLToPath } from 'node:url';

/** Our own stack files: in the source tree, and beside the package when it is installed. */
const OURS = ['../../../../stacks/', '../../stacks/'].map((path) => fileURLToPath(new URL(path, import.meta.url)));

/**
 * Finds the stack file for a job of a resource: that of the resource, that of the site, ours.
 *
 * `/etc/mars/stacks/resource-RES-primary.yaml`, `/etc/mars/stacks/resource-primary.yaml`, `stacks/resource-primary.yaml`
 */
export class Templates {
  constructor(
    private readonly files: Files,
    /** `/etc/mars`. */
    private readonly siteDir: string,
  ) {}

  /** @throws MarsError FILE_IO */
  find(name: string, resource: string): StackSource {
    const kind = name.replace(/^resource-/, '');
    const candidates = [
      `${this.siteDir}/stacks/resource-${resource}-${kind}.yaml`,
      `${this.siteDir}/stacks/${name}.yaml`,
      ...OURS.map((dir) => `${dir}${name}.yaml`),
    ];
    for (const file of candidates) {
      const bytes = this.files.stat(file) === null ? null : this.files.readFile(file);
      if (bytes !== null) return { file, text: new TextDecoder().decode(bytes) };
    }
    throw new MarsError(ErrorCode.FILE_IO, `there is no stack file ${name}.yaml`, {
      hint: `Looked for ${candidates.join(', ')}. It belongs to the installation.`,
    });
  }
}
