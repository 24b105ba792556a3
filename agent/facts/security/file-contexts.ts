/**
 * The type of a folder in the policy (selabel_file(5)): from the line that equals the path, else from the last line
 * that matches it.
 * @param text file_contexts, followed by file_contexts.local: "REGEX [-d] CONTEXT" lines
 * @returns undefined if no line matches, or if the policy does not set its label (<<none>>)
 */
export function expectedType(text: string, path: string): string | undefined {
  let literal: string | undefined;
  let matched: string | undefined;
  for (const line of text.split('\n')) {
    // A fast test first: most of some 6,000 lines are for other paths.
    if (!line.startsWith('/') || !path.startsWith(stemOf(line))) continue;
    const [, pattern = '', kind = '-d', context = ''] = /^(\S+)\s+(?:(-\S)\s+)?(\S+)/.exec(line) ?? [];
    if (kind !== '-d') continue;
    const isLiteral = stemOf(line) === pattern;
    if (isLiteral && pattern === path) literal = context;
    else if (!isLiteral && matches(pattern, path)) matched = context;
  }
  return (literal ?? matched)?.split(':')[2];
}

/** The pattern up to the first special character of regular expressions, or to the end of the field. */
function stemOf(line: string): string {
  const end = line.search(/[\s.^$?*+|[({\\]/);
  return end < 0 ? line : line.slice(0, end);
}

/** The patterns are PCRE. Policies use the part that JavaScript supports; any other pattern matches nothing. */
function matches(pattern: string, path: string): boolean {
  try {
    return new RegExp(`^(?:${pattern})$`).test(path);
  } catch {
    return false;
  }
}
