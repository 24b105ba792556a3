/**
 * Control characters (C0, DEL, C1), what changes the direction of text (Unicode Bidirectional Algorithm, UAX 9), line
 * separators, and halves of surrogate pairs. On a terminal or in a log they can hide or forge other text.
 */
const unprintable = /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;
/** Unprintable characters that JSON.stringify does not escape (RFC 8259, section 7, requires it for C0 only). */
const unescapedByJson = /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** For a line on a terminal: replaces each unprintable character, including the line feed, by a question mark. */
export function clean(text: string): string {
  return text.replace(unprintable, '?');
}

/** For a line or a field of a log: journalctl shows a text with control characters as a blob. */
export const logText = clean;

/** JSON with every unprintable character escaped (\u009b); it parses to the same value. */
export function toJson(value: unknown, indent?: number): string {
  const escape = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(value, null, indent).replace(unescapedByJson, escape);
}

/** A label's value in Prometheus's text format: backslash, quote and line feed are escaped, other unprintable characters are `?`. */
export function labelValue(text: string): string {
  const lines = text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').split('\n');
  return lines.map(clean).join('\\n');
}
