/** Scripts extract the number with `grep -o 'Version: [0-9.]*'` and need at least 2.1 of the 2.x line. Source: marsadm.md 1 */
export const TOOL_VERSION = '2.9';

export const VERSION_LINE = `marsadm Version: ${TOOL_VERSION} (TypeScript edition)`;
