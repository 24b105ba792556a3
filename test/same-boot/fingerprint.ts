import { declared } from './declared.ts';

/** What decides how a boot behaves: values by `SECTION KEY`. */
export type Fingerprint = ReadonlyMap<string, string>;

/** A block device: the names of its disks with their serial numbers, and what is between them and the device. */
interface Block {
  name: string;
  description: string;
}

/**
 * Parses the output of the step `fingerprint` (`session.ts`), and removes the declared variation.
 *
 * @param host what the host knows: values by their names
 * @throws if the collector did not reach its end
 */
export function parseFingerprint(
  output: string,
  host: readonly (readonly [string, string])[] = [],
): Fingerprint {
  const lines = output.split('\n').map((line) => line.split('\t'));
  if (!lines.some(([section]) => section === 'end')) throw new Error('the collector did not reach its end');
  const of = (name: string) =>
    lines.filter(([section]) => section === name).map(([, key = '', value = '']) => [key, value] as const);
  const blocks = blocksOf(of('block'));
  const texts = Map.groupBy(of('text'), ([path]) => path);
  const entries: (readonly [string, string, string])[] = [
    ...host.map(([name, value]) => ['host', name, value] as const),
    ...(['file', 'program', 'process', 'sysctl'] as const).flatMap((section) =>
      of(section).map(([key, value]) => [section, key, value] as const),
    ),
    ...of('block').map(
      ([number]) => ['block', blocks.get(number)?.name ?? '', blocks.get(number)?.description ?? ''] as const,
    ),
    ...[...texts].flatMap(([path, all]) => all.map(([, line]) => readLine(path, line, blocks))),
    ...of('unit').map(([line]) => readUnit(line)),
  ];
  return toFingerprint(entries);
}

/** Applies the declared variation, and numbers entries with the same key. */
function toFingerprint(entries: readonly (readonly [string, string, string])[]): Fingerprint {
  const result = new Map<string, string>();
  const values = entries
    .map(([section, key, value]) => normalized(`${section} ${key}`, value))
    .filter((entry) => entry !== undefined)
    .toSorted(([a, x], [b, y]) => (a === b ? (x < y ? -1 : 1) : a < b ? -1 : 1));
  for (const [key, value] of values) {
    let [unique, number] = [key, 1];
    while (result.has(unique)) unique = `${key} (${++number})`;
    result.set(unique, value);
  }
  return result;
}

function normalized(key: string, value: string): [string, string] | undefined {
  let entry: [string, string] = [key, value];
  for (const { keys, values, replaces, by = '' } of declared) {
    if (!keys.test(entry[0]) || values?.test(entry[1]) === false) continue;
    if (replaces === undefined) return undefined;
    entry = [entry[0].replace(replaces, by), entry[1].replace(replaces, by)];
  }
  return entry;
}

function blocksOf(lines: readonly (readonly [string, string])[]): ReadonlyMap<string, Block> {
  const parsed = lines.map(([number, value]) => {
    const [, name = '', properties = ''] = /^(\S+) (.*)$/.exec(value) ?? [];
    const below = [...properties.matchAll(/ on:(\S+)/g)].map(([, each = '']) => each);
    return { number, name, below, properties: properties.replaceAll(/ on:\S+/g, '') };
  });
  const describe = (name: string): string => {
    const found = parsed.find((each) => each.name === name);
    const parent = parsed.find(
      (each) => each.name !== name && /^vd/.test(name) && name.replace(/\d+$/, '') === each.name,
    );
    const below = [...(found?.below ?? []), ...(parent ? [parent.name] : [])];
    return `${found?.properties ?? 'unknown'}${below.map((each) => ` on [${describe(each)}]`).join('')}`;
  };
  return new Map(parsed.map(({ number, name }) => [number, { name, description: describe(name) }]));
}

/** Reads a line of a file of the kernel. Its columns that have no meaning for a comparison are left out. */
function readLine(
  path: string,
  line: string,
  blocks: ReadonlyMap<string, Block>,
): readonly [string, string, string] {
  const words = line.trim().split(/\s+/);
  const at = (index: number) => words[index] ?? '';
  if (path === '/proc/1/mountinfo') {
    const dash = words.indexOf('-');
    const [root, target, options] = words.slice(3, 6);
    const device = blocks.get(at(2))?.description ?? 'no device';
    return [
      'mount',
      target ?? '',
      [root, options, ...words.slice(6, dash), ...words.slice(dash + 1), device].join(' '),
    ];
  }
  if (path === '/proc/modules') return ['module', at(0), [at(1), ...words.slice(6)].join(' ')];
  if (path === '/proc/net/unix') return ['unix', at(7), `${at(3)} ${at(4)}`];
  if (path.startsWith('/proc/net/')) return ['socket', `${path} ${at(1)}`, at(3)];
  if (path === '/proc/keys') return ['key', words.slice(7).join(' '), words.slice(4, 7).join(' ')];
  return ['text', `${path} ${line}`, ''];
}

/** Reads a line of `systemctl list-units`: the name, and whether the unit is loaded and active. Its files are in `file`. */
function readUnit(line: string): readonly [string, string, string] {
  const [name = '', ...states] = line.split(/\s+/);
  return ['unit', name, states.slice(0, 3).join(' ')];
}
