/** Transaction logfiles: encoding, decoding, scanning. Pure: no I/O, no clock. Format: docs/formats/log.md */
export * from './layout.js';
export * from './details.js';
export * from './digests.js';
export { crc32Pieces, crc32cPieces } from './crc.js';
export * from './compression.js';
export * from './encode.js';
export * from './decode.js';
export * from './window.js';
export * from './stats.js';
export * from './scan.js';
export * from './resync.js';
export * from './tail.js';
export * from './dump.js';
export * from './report.js';
