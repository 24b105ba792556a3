/**
 * Matches control characters (C0, DEL, C1), characters that change the direction of text (Unicode Bidirectional
 * Algorithm, UAX 9), line separators and unpaired surrogates. On a terminal or in a log, these characters can hide or
 * forge other text.
 */
const unprintable = /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;
/** Matches unprintable characters that JSON.stringify does not escape. RFC 8259, section 7, requires it only for C0. */
const unescapedByJson = /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Replaces each unprintable character, including the line feed, by a question mark, for a line on a terminal. */
export function clean(text: string): string {
  return text.replace(unprintable, '?');
}

/** Returns JSON in which every unprintable character is escaped (\u009b). It parses to the same value. */
export function toJson(value: unknown, indent?: number): string {
  const escape = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(value, null, indent).replace(unescapedByJson, escape);
}

/**
 * Returns the beginning of a text that takes no more than a number of bytes in `toJson`'s form, without the quotation
 * marks. An escaped character takes six bytes.
 */
export function limitJson(text: string, bytes: number): string {
  // A character beyond U+FFFF consists of two surrogates, and is left out as a whole.
  const isWithin = (at: number) => /^[\ud800-\udbff][\udc00-\udfff]$/.test(text.slice(at - 1, at + 1));
  const beginning = (length: number) => text.slice(0, isWithin(length) ? length - 1 : length);
  const fits = (length: number) => Buffer.byteLength(toJson(beginning(length))) - 2 <= bytes;
  // Every character takes at least one byte.
  if (text.length <= bytes && fits(text.length)) return text;
  let [length, above] = [0, Math.min(text.length, bytes + 1)];
  while (above - length > 1) {
    const middle = (length + above) >> 1;
    if (fits(middle)) length = middle;
    else above = middle;
  }
  return beginning(length);
}

/**
 * Returns a label's value for Prometheus's text format, as the host's metrics have it. Different texts remain different
 * (`escapeUnprintable`), because two samples of a metric with equal labels invalidate it.
 */
export function labelValue(text: string): string {
  return escapeUnprintable(text).replaceAll('\\', '\\\\').replaceAll('"', '\\"');
}

/**
 * Writes each unprintable character, and each backslash, as an escape sequence of JSON, so that different names remain
 * different on a terminal: a line feed becomes `\n`.
 */
export function escapeUnprintable(text: string): string {
  const escape = (char: string) => {
    const json = toJson(char).slice(1, -1);
    return json === char ? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}` : json;
  };
  return text.replaceAll('\\', '\\\\').replace(unprintable, escape);
}
