import { AioBrick } from './aio/aio.js';
import { BioBrick } from './bio/bio.js';
import { FileBrick } from './file/file.js';
import { SioBrick } from './sio/sio.js';

export { AioBrick, BioBrick, FileBrick, SioBrick };

/** All brick classes of this package, for the composition root. */
export const ioBricks = [AioBrick, BioBrick, FileBrick, SioBrick];
