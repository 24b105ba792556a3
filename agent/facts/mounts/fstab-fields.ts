/** The fields of fstab(5), for the agent (fstab.ts) and for the boot (boot/guest/fstab.ts). */

/**
 * Splits each line that is neither empty nor a comment into its fields, as libmount does (util-linux,
 * libmount/src/tab_parse.c). Escapes are not decoded. Never throws.
 * @param text Latin-1: one character per byte
 */
export function fieldsOfFstab(text: string): { line: number; fields: string[] }[] {
  return text.split('\n').flatMap((whole, index) => {
    const trimmed = whole.replace(/\r$/, '').replace(/^[ \t]+|[ \t]+$/g, '');
    if (trimmed === '' || trimmed.startsWith('#')) return [];
    return [{ line: index + 1, fields: trimmed.split(/[ \t]+/) }];
  });
}

/** Returns the second field, with its escapes decoded, without redundant slashes. */
export function plainTarget(target: string): string {
  return target.replace(/\/{2,}/g, '/').replace(/(.)\/$/, '$1');
}
