import { clean } from '../../lib/unprintable.ts';

/**
 * Returns the text of a message from the agent itself, one character for each byte of its UTF-8 form (latin1). The text
 * may contain names of files, whose line feeds would end the field or the message. They must be replaced before the
 * conversion: written as latin1, U+010A would become a line feed as well.
 */
export function noticeText(text: string): string {
  return Buffer.from(clean(text)).toString('latin1');
}
