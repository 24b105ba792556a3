/**
 * Control characters (C0, DEL, C1), what changes the direction of text (Unicode Bidirectional Algorithm, UAX 9), line
 * separators, and halves of surrogate pairs. On a terminal or in a log they hide or forge what stands beside them.
 */
const unprintable = /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;
/** Those that JSON.stringify leaves as they are (RFC 8259, section 7, requires the escape of C0 only). */
const leftByJson = /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** For a line on a terminal: each unprintable character, a line feed too, becomes a question mark. */
export function clean(text: string): string {
  return text.replace(unprintable, '?');
}

/** For a line or a field of a log, where journalctl shows a text with control characters as a blob. */
export const logText = clean;

/** JSON that prints safely: unprintable characters are escaped (\u009b), so that it reads back as the same value. */
export function toJson(value: unknown, indent?: number): string {
  const escape = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(value, null, indent).replace(leftByJson, escape);
}

/** A label's value in Prometheus' text format: backslash, quote and line feed escaped, other unprintable ones as `?`. */
export function labelValue(text: string): string {
  const lines = text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').split('\n');
  return lines.map(clean).join('\\n');
}
