import { type Service, services } from './services.ts';

/** What the table of services says about a path that a sealed boot resets. */
export interface StateRule {
  service: Service;
  /**
   * `state`: a reboot must not lose it without a decision. `harmless`: it may be reset. `examined`: it may be reset, unless
   * something shows that it is state.
   */
  kind: 'state' | 'harmless' | 'examined';
  /** The number of components of the path that the rule names. */
  depth: number;
  /** The options that the path needs in PERSIST, separated by commas; or empty. */
  options: string;
}

interface Node {
  rule?: StateRule;
  byName: Map<string, Node>;
  byGlob: { name: string; pattern: RegExp; node: Node }[];
  /** The last name that was looked up, and its nodes: a search returns the files of a directory one after the other. */
  last: { name: string; nodes: Node[] } | undefined;
}

const root: Node = newNode();
for (const service of services) {
  for (const item of service.state ?? []) addRule(service, 'state', item);
  for (const path of Object.values(service.harmless ?? {}).flat()) addRule(service, 'harmless', path);
  for (const path of Object.values(service.examined ?? {}).flat()) addRule(service, 'examined', path);
}

/** Returns the rule of a path, which is the one with the most components; undefined if no service is known for it. */
export function stateRuleOf(path: string): StateRule | undefined {
  return deepest(root, path.split('/'), 1);
}

/** Where state is reported. */
interface StatePlace {
  /** The same for all files that are reported together: those of a service, or of a directory. */
  key: string;
  directory: string;
  /** The rule of a known service. */
  rule: StateRule | undefined;
  /** Whether the file is state only if something shows it (expendable.ts). */
  isExamined: boolean;
}

/**
 * Returns where a file is reported as state; undefined if it may be reset.
 * @param overlays the paths of OVERLAY
 * @param bytes the size of the file
 */
export function statePlaceOf(
  path: string,
  overlays: readonly string[],
  bytes: number = Infinity,
): StatePlace | undefined {
  const rule = stateRuleOf(path);
  if (rule === undefined || rule.kind === 'examined') {
    const directory = directoryOf(path, overlays);
    return { key: directory, directory, rule: undefined, isExamined: rule !== undefined };
  }
  if (rule.kind === 'harmless' || (bytes === 0 && rule.service.ignoresEmpty === true)) return undefined;
  return { key: `=${rule.service.id}`, directory: prefixOf(path, rule.depth), rule, isExamined: false };
}

/** The directories without any state below them, which need not be searched. */
export const harmlessDirectories: readonly string[] = harmlessBelow(root, '');

function deepest(node: Node, names: readonly string[], at: number): StateRule | undefined {
  const name = names[at];
  if (name === undefined) return node.rule;
  let found: StateRule | undefined;
  for (const next of childrenOf(node, name)) {
    const rule = deepest(next, names, at + 1);
    if ((rule?.depth ?? 0) > (found?.depth ?? 0)) found = rule;
  }
  return found ?? node.rule;
}

/** Returns the nodes that match a name, that without a glob first. */
function childrenOf(node: Node, name: string): Node[] {
  if (node.last?.name === name) return node.last.nodes;
  const exact = node.byName.get(name);
  const nodes = node.byGlob.flatMap(({ pattern, node: other }) => (pattern.test(name) ? [other] : []));
  node.last = { name, nodes: exact === undefined ? nodes : [exact, ...nodes] };
  return node.last.nodes;
}

function addRule(service: Service, kind: StateRule['kind'], item: string): void {
  const [path = '', options = ''] = item.split(':');
  const names = path.split('/').slice(1);
  const node = names.reduce(childOf, root);
  if (node.rule !== undefined)
    throw new Error(`services.json: ${path} is in ${node.rule.service.id} and ${service.id}`);
  node.rule = { service, kind, depth: names.length, options };
}

/** Returns the node for a component of a rule, which it creates. */
function childOf(node: Node, name: string): Node {
  if (!name.includes('*')) {
    const child = node.byName.get(name) ?? newNode();
    node.byName.set(name, child);
    return child;
  }
  const known = node.byGlob.find((each) => each.name === name);
  if (known !== undefined) return known.node;
  const child = newNode();
  node.byGlob.push({ name, pattern: globPattern(name), node: child });
  return child;
}

function newNode(): Node {
  return { byName: new Map(), byGlob: [], last: undefined };
}

/** Returns an expression for a glob in which only `*` is special. */
export function globPattern(glob: string): RegExp {
  return new RegExp(`^${glob.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`);
}

function harmlessBelow(node: Node, path: string): string[] {
  if (node.rule?.kind === 'harmless' && !hasState(node)) return [path];
  return [...node.byName].flatMap(([name, child]) => harmlessBelow(child, `${path}/${name}`));
}

function hasState({ rule, byName, byGlob }: Node): boolean {
  return (
    (rule !== undefined && rule.kind !== 'harmless') ||
    [...byName.values(), ...byGlob.map(({ node }) => node)].some(hasState)
  );
}

/** Directories in which each service has a directory of its own (Filesystem Hierarchy Standard 3.0, chapter 5). */
const collections: readonly string[] = [
  '/var/lib/private/',
  '/var/lib/',
  '/var/spool/',
  '/var/opt/',
  '/var/db/',
  '/var/local/',
  '/var/cache/private/',
  '/var/cache/',
  '/var/log/private/',
  '/var/log/',
  '/var/backups/',
];

/** Returns the directory under which files of an unknown service are reported. A file in a collection is reported itself. */
export function directoryOf(path: string, overlays: readonly string[]): string {
  const overlay = overlays.find((each) => path === each || path.startsWith(`${each}/`));
  if (overlay !== undefined) return overlay;
  const collection = collections.find((each) => path.startsWith(each)) ?? '/var/';
  return prefixOf(path, collection.split('/').length - 1);
}

/** Returns the first components of a path. */
function prefixOf(path: string, components: number): string {
  let end = 0;
  for (let count = 0; count < components; count++) {
    end = path.indexOf('/', end + 1);
    if (end === -1) return path;
  }
  return path.slice(0, end);
}
