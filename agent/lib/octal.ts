/**
 * Decodes the octal escapes of a field of mountinfo, fstab(5) or /proc/swaps, in which space, tab, newline, backslash and #
 * are escaped, and does not decode the bytes as UTF-8.
 * @returns one character per byte (latin1)
 */
export function unescapeBytes(field: string): string {
  return field.replace(/\\(?!000)([0-3][0-7]{2})/g, (_, octal: string) =>
    String.fromCharCode(parseInt(octal, 8)),
  );
}
