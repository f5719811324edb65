/** Bits of `features`, and of the masks that switch digests and compressions. Source: symlink-tree.md 2.2 */
export const FEATURE_BITS: Readonly<Record<string, number>> = {
  CHKSUM_MD5_OLD: 0x10000,
  CHKSUM_MD5: 0x20000,
  CHKSUM_CRC32C: 0x40000,
  CHKSUM_CRC32: 0x80000,
  CHKSUM_SHA1: 0x100000,
  COMPRESS_LZO: 0x1000000,
  COMPRESS_LZ4: 0x2000000,
  COMPRESS_ZLIB: 0x4000000,
};

/** Names of the bits that are set, in their order, joined by `|`. @param prefix only names that begin so */
export function featureNames(mask: number, prefix = ''): string {
  return Object.entries(FEATURE_BITS)
    .filter(([name, bit]) => name.startsWith(prefix) && (mask & bit) !== 0)
    .map(([name]) => name)
    .join('|');
}
