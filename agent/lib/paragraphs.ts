/** What Markdown displays as something else than a paragraph: headings, lists, quotations, tables and code. */
const structure = /^(#|>|\||```|~~~|\s|[-+*]\s|\d+[.)]\s|=+$|-+$)/;

/**
 * Returns the paragraphs of a Markdown text, each without its line breaks.
 * @param where the beginning of the message of an error
 * @throws Error if there is no paragraph, or anything else
 */
export function paragraphs(text: string, where: string): [string, ...string[]] {
  const wrong = text.split('\n').find((line) => structure.test(line));
  if (wrong !== undefined) throw new Error(`${where}: only paragraphs are permitted: ${wrong}`);
  const [first, ...others] = text
    .split(/\n{2,}/)
    .map((paragraph) => paragraph.trim().split(/\s+/).join(' '))
    .filter((paragraph) => paragraph !== '');
  if (first === undefined) throw new Error(`${where}: there is no text`);
  return [first, ...others];
}
