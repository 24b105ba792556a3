/**
 * Removes the repeated rules that separate modules of a policy may have and one module may not: transitions with the
 * name of a file, and transitions of roles. checkmodule(8) expands the attributes of sources and programs, and refuses
 * two rules for the same types; the policy in the kernel, in which the rules of all modules are linked, is the same.
 * Types that are declared in an optional block are not in scope elsewhere; where only a part of a rule repeats, it loses
 * those of them that an attribute has brought.
 *
 * @param text a policy after m4(1), one statement in a line (`base.conf` of the reference policy)
 */
export function uniqueTransitions(text: string): string {
  const lines = text.split('\n');
  const types = typesIn(lines);
  const seen = new Set<string>();
  return lines
    .map((line) => (/^\s*(?:type|role)_transition\s/.test(line) ? unique(line, types, seen) : line))
    .join('\n');
}

interface Types {
  /** The types of each attribute. */
  members: ReadonlyMap<string, readonly string[]>;
  /** The types that are declared outside of optional blocks. */
  declared: ReadonlySet<string>;
}

/** A rule, whose set of types or roles may repeat in part. */
interface Rule {
  set: string[];
  /** The rest of the condition. */
  key: string;
  /** Prints the rule for a set. */
  print: (set: string) => string;
}

function unique(line: string, { members, declared }: Types, seen: Set<string>): string {
  const rule = parse(line);
  if (rule === undefined) return line;
  const all = [...new Set(rule.set.flatMap((each) => members.get(each) ?? [each]))];
  const left = all.filter((each) => !seen.has(`${each} ${rule.key}`));
  for (const each of left) seen.add(`${each} ${rule.key}`);
  if (left.length === all.length) return line;
  const inScope = left.filter((each) => rule.set.includes(each) || declared.has(each));
  // checkmodule has a limit for the length of a line.
  return inScope.length === 0 ? '' : rule.print(`{\n${inScope.join('\n')}\n}`);
}

/** Returns undefined for a transition without the name of a file, which may repeat. */
function parse(line: string): Rule | undefined {
  const words = (set = '') => set.match(/[\w.]+/g) ?? [];
  const [, roles, programs, role] =
    /^\s*role_transition\s+(\S+)\s+(\{[^}]*\}|\S+)\s+(\w+)\s*;/.exec(line) ?? [];
  if (role !== undefined)
    return {
      set: words(programs),
      key: roles ?? '',
      print: (set) => `role_transition ${roles} ${set} ${role};`,
    };
  const [, sources, object = '', target, name] =
    /^\s*type_transition\s+(\{[^}]*\}|\S+)\s+((?:\{[^}]*\}|[^\s:]+)\s*:\s*(?:\{[^}]*\}|\S+))\s+(\S+)\s+("[^"]*")\s*;/.exec(
      line,
    ) ?? [];
  if (name === undefined) return undefined;
  return {
    set: words(sources),
    key: `${object.replaceAll(/\s*:\s*/g, ':')} ${name}`,
    print: (set) => `type_transition ${set} ${object} ${target} ${name};`,
  };
}

function typesIn(lines: readonly string[]): Types {
  const attributes = new Set(lines.flatMap((line) => /^\s*attribute\s+(\w+)\s*;/.exec(line)?.[1] ?? []));
  const members = new Map<string, string[]>();
  const declared = new Set<string>();
  const aliases = new Map<string, string>();
  let depth = 0;
  for (const line of lines) {
    if (line.startsWith('#')) continue;
    const [, verb, type = '', alias = '', rest = ''] =
      /^\s*(type|typealias|typeattribute)\s+(\w+)(?:\s+alias\s+(\{[^}]*\}|\w+))?([\w\s,]*);/.exec(line) ?? [];
    if (verb === 'type' && depth === 0) declared.add(type);
    for (const each of alias.match(/\w+/g) ?? []) aliases.set(each, type);
    // A list of required types looks like a declaration, but what follows the first type is no attribute.
    for (const attribute of (rest.match(/\w+/g) ?? []).filter((each) => attributes.has(each)))
      members.set(attribute, [...(members.get(attribute) ?? []), aliases.get(type) ?? type]);
    depth += line.split('{').length - line.split('}').length;
  }
  return { members, declared };
}
