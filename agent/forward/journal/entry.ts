/** What the export parser hands on: an entry, or a piece of one that is too large to be held. */
export interface Entry {
  /**
   * `piece`: the entry goes on with the next item. `partial`: journalctl broke it off (a corrupt journal); what
   * was read of it is not here.
   */
  kind: 'entry' | 'piece' | 'partial';
  /** Empty where the entry has none. */
  cursor: string;
  /**
   * `whole` parser: the export format's bytes, one character a byte, with the blank line that ends the entry.
   * `skim` parser: lines NAME=value of at least the wanted fields; an ordinary entry as it came.
   */
  text: string;
  /** MESSAGE where `text` does not have it: it is not plain text, or long; one character a byte. */
  message: string | undefined;
  /** How many bytes of MESSAGE were left out because it is longer than the limit. */
  cut: number;
}

/** The value of a field, one character a byte, or '' where the entry has none: the first where it is repeated. */
export function field(text: string, key: FieldKey): string {
  const at = text.indexOf(key);
  if (at < 0) return '';
  const from = at + key.length;
  return text.slice(from, text.indexOf('\n', from));
}

/** As it stands in the text. `__CURSOR`, the first line, has none before it and is in Entry.cursor. */
export type FieldKey = `\n${string}=`;
