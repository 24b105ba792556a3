/**
 * Puts the statements of separate modules where one module may have them: users come after all rules, and a module
 * requires nothing from itself. checkmodule(8) refuses anything else.
 *
 * @param text a policy after m4(1), one statement in a line (`base.conf` of the reference policy)
 */
export function oneModule(text: string): string {
  const kept: string[] = [];
  const users: string[] = [];
  let lastUser = 0;
  let depth = 0;
  let requires = false;
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) {
      kept.push(line);
      continue;
    }
    if (depth === 0 && /^\s*require\s*\{/.test(line)) requires = true;
    depth += line.split('{').length - line.split('}').length;
    if (requires) {
      requires = depth > 0;
    } else if (depth === 0 && /^user\s/.test(line)) {
      users.push(line);
      lastUser = kept.length;
    } else {
      kept.push(line);
    }
  }
  return kept.toSpliced(lastUser, 0, ...users).join('\n');
}
