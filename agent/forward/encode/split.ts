/**
 * Cuts a text into parts, never within a UTF-8 sequence.
 * @param text one character a byte
 * @param limit of a part, in bytes; at least 4
 */
export function split(text: string, limit: number): string[] {
  const parts: string[] = [];
  let from = 0;
  while (text.length - from > limit) {
    const end = beforeSequence(text, from + limit);
    parts.push(text.slice(from, end));
    from = end;
  }
  parts.push(text.slice(from));
  return parts;
}

/** RFC 3629: continuation bytes are 10xxxxxx, at most three of them. What is no UTF-8 is cut where it may be. */
function beforeSequence(text: string, end: number): number {
  for (let back = 0; back < 4; back += 1) {
    if ((text.charCodeAt(end - back) & 0xc0) !== 0x80) return end - back;
  }
  return end;
}
