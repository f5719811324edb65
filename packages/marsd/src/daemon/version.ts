import { BUILD_TAG } from '@mars/mars-tree';

export const VERSION = '0.1.0';

/**
 * What `actual-HOST/buildtag` says. The number in front of the parenthesis must be greater than 97, or an old `marsadm` looks for kernel
 * devices instead of `if-on`. Source: symlink-tree.md 2.2
 */
export const BUILD = { tag: `mars${VERSION}ts100`, date: '2026-11-20' };

export const BUILD_TAG_TEXT = BUILD_TAG.format(BUILD);

/** Feature level, strategy level (5: marsadm needs no ssh), and the digests and compressions of the log format. Source: decided.md, *Log and tree* */
export const FEATURES_OF_THIS_HOST = { level: 4, strategy: 5, mask: 0x071f0000 };
