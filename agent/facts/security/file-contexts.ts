/**
 * Returns the type that the policy assigns to a directory (selabel_file(5)). A line whose pattern is the literal path
 * takes precedence; otherwise the last line whose regular expression matches the path applies.
 * @param text file_contexts followed by file_contexts.local, which consist of lines "REGEX [-d] CONTEXT"
 * @returns undefined if no line matches, or if the policy does not set its label (<<none>>)
 */
export function expectedType(text: string, path: string): string | undefined {
  let literal: string | undefined;
  let matched: string | undefined;
  for (const line of text.split('\n')) {
    // Fast pre-selection, because most of the about 6,000 lines are for other paths.
    if (!line.startsWith('/') || !path.startsWith(stemOf(line))) continue;
    const [, pattern = '', kind = '-d', context = ''] = /^(\S+)\s+(?:(-\S)\s+)?(\S+)/.exec(line) ?? [];
    if (kind !== '-d') continue;
    const isLiteral = stemOf(line) === pattern;
    if (isLiteral && pattern === path) literal = context;
    else if (!isLiteral && matches(pattern, path)) matched = context;
  }
  return (literal ?? matched)?.split(':')[2];
}

/** Returns the literal prefix of a pattern: the part before the first special character of regular expressions. */
function stemOf(line: string): string {
  const end = line.search(/[\s.^$?*+|[({\\]/);
  return end < 0 ? line : line.slice(0, end);
}

/**
 * Whether a path matches a pattern. The patterns are PCRE, of which policies use the subset that JavaScript supports; a
 * pattern with other syntax matches nothing.
 */
function matches(pattern: string, path: string): boolean {
  try {
    return new RegExp(`^(?:${pattern})$`).test(path);
  } catch {
    return false;
  }
}
