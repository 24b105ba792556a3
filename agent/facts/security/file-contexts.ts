/**
 * The type that the policy has for a folder (selabel_file(5)): a line without special characters wins, else the
 * last that matches.
 * @param text file_contexts, and file_contexts.local behind it: "REGEX [-d] CONTEXT" lines
 * @returns undefined where no line is for it, or the policy leaves its label alone (<<none>>)
 */
export function expectedType(text: string, path: string): string | undefined {
  let literal: string | undefined;
  let matched: string | undefined;
  for (const line of text.split('\n')) {
    // Most of some 6,000 lines are for other paths.
    if (!line.startsWith('/') || !path.startsWith(stemOf(line))) continue;
    const [, pattern = '', kind = '-d', context = ''] = /^(\S+)\s+(?:(-\S)\s+)?(\S+)/.exec(line) ?? [];
    if (kind !== '-d') continue;
    const isLiteral = stemOf(line) === pattern;
    if (isLiteral && pattern === path) literal = context;
    else if (!isLiteral && matches(pattern, path)) matched = context;
  }
  return (literal ?? matched)?.split(':')[2];
}

/** Up to the first character that means something in a regular expression, or to the end of the field. */
function stemOf(line: string): string {
  const end = line.search(/[\s.^$?*+|[({\\]/);
  return end < 0 ? line : line.slice(0, end);
}

/** PCRE, of which the policies use what JavaScript has too; another pattern matches nothing. */
function matches(pattern: string, path: string): boolean {
  try {
    return new RegExp(`^(?:${pattern})$`).test(path);
  } catch {
    return false;
  }
}
