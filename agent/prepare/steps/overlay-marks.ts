import { formatBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import { isBelow } from '../../facts/mounts/mountinfo.ts';
import { firstOf } from './open-files.ts';

/** Milliseconds for a look through one file system. */
const limit = 120_000;
const find = '/usr/bin/find';
const getfattr = '/usr/bin/getfattr';
const stat = '/usr/bin/stat';
const attributes = '^trusted\\.overlay\\.';

/**
 * What overlayfs reserves for itself (Documentation/filesystems/overlayfs.rst): a character device 0:0 is a whiteout,
 * and trusted.overlay.* attributes mark directories and files. In a lower layer of the overlay on /var such files
 * cannot be opened, or others are shown. They come from an overlay's own upper layer: a container store, or a copy of one.
 * @param roots folders, each looked through without what is mounted below it
 * @param stores container stores, whose marks are right there
 * @param isMountPoint whether something is mounted on a path: find -xdev names it, though it is another file system
 * @returns what was found, or could not be looked for, each with what to do
 */
export async function overlayMarks(
  reader: SystemReader,
  roots: readonly string[],
  stores: readonly string[],
  isMountPoint: (path: string) => boolean,
): Promise<string[]> {
  const problems: string[] = [];
  const found = { whiteouts: [] as string[], attributes: [] as string[] };
  for (const root of roots) {
    const devices = await whiteoutsIn(reader, root);
    if (typeof devices === 'string') problems.push(devices);
    else found.whiteouts.push(...devices.filter((path) => !isMountPoint(path)));
  }
  if (reader.stat(getfattr) === undefined) {
    problems.push(
      `${getfattr} is not there, so it is unknown whether files below ${roots.join(' ')} have overlayfs attributes: install the package attr and run this again.`,
    );
  } else {
    for (const root of roots) {
      const marked = await attributesIn(reader, root);
      if (typeof marked === 'string') problems.push(marked);
      else found.attributes.push(...marked.filter((path) => path === root || !isMountPoint(path)));
    }
  }
  return [...describe(found.whiteouts, found.attributes, stores), ...problems];
}

function describe(
  whiteouts: readonly string[],
  marked: readonly string[],
  stores: readonly string[],
): string[] {
  const inStore = (path: string) => stores.find((store) => isBelow(path, store));
  const byStore = stores.flatMap((store) => {
    const [devices, attrs] = [whiteouts, marked].map(
      (paths) => paths.filter((path) => inStore(path) === store).length,
    );
    if (devices === 0 && attrs === 0) return [];
    return [
      `${store} has ${devices ?? 0} whiteouts (character devices 0:0) and ${attrs ?? 0} files with trusted.overlay attributes of its containers' layers: through the overlay of /var they are unusable. Give it a disk of its own, or remove the containers and images with the store's own program before sealing.`,
    ];
  });
  const [devices = [], attrs = []] = [whiteouts, marked].map((paths) =>
    paths.filter((path) => inStore(path) === undefined),
  );
  return [
    ...byStore,
    ...(devices.length === 0
      ? []
      : [
          `${firstOf(devices)}: character devices 0:0, which overlayfs takes for deleted files: through the overlay of /var they cannot be opened. They are left of a copy of an overlay's upper layer: remove them (rm).`,
        ]),
    ...(attrs.length === 0
      ? []
      : [
          `${firstOf(attrs)}: with trusted.overlay attributes, which overlayfs reserves for itself, so that the overlay of /var shows something else or an error. They are left of a copy of an overlay's upper layer: see them with \`getfattr -h -d -m ${attributes} FILE\`, remove each with \`setfattr -h -x NAME FILE\`.`,
        ]),
  ];
}

/** @returns paths, one character a byte; a text: why it could not be told */
async function whiteoutsIn(reader: SystemReader, root: string): Promise<string[] | string> {
  const args = [root, '-ignore_readdir_race', '-xdev', '-type', 'c'];
  const { stdout, ended } = await reader.run(
    find,
    [...args, '-exec', stat, '--printf', '%t:%T %n\\0', '--', '{}', '+'],
    limit,
  );
  if (ended !== 'good') return unclear(root, 'whiteouts', ended);
  return stdout
    .split('\0')
    .filter((line) => line.startsWith('0:0 '))
    .map((line) => line.slice('0:0 '.length));
}

/** @returns as whiteoutsIn */
async function attributesIn(reader: SystemReader, root: string): Promise<string[] | string> {
  const options = ['-h', '--absolute-names', '-m', attributes, '--'];
  // It is there and can be started: then what find says of its failures is of files that are gone meanwhile.
  const { ended: first } = await reader.run(getfattr, [...options, root], limit);
  if (first !== 'good') return unclear(root, 'overlayfs attributes', first);
  const args = [root, '-ignore_readdir_race', '-xdev', '-exec', getfattr, ...options, '{}', '+'];
  const { stdout, ended } = await reader.run(find, args, limit);
  if (ended !== 'good' && ended !== 'bad') return unclear(root, 'overlayfs attributes', ended);
  // Special characters are octal; what is shown need not be opened.
  return stdout.split('\n').flatMap((line) => /^# file: (.*)$/.exec(line)?.[1] ?? []);
}

function unclear(root: string, what: string, ended: 'bad' | 'deadline' | 'full'): string {
  const why = {
    bad: 'the search failed',
    deadline: `the search did not end within ${limit / 1000} s`,
    full: `there are so many that their names take more than ${formatBytes(16 * 1024 ** 2)}`,
  }[ended];
  return `It could not be told which files below ${root} have ${what}: ${why}. Look yourself: \`find ${root} -xdev -type c -ls\` and \`find ${root} -xdev -exec getfattr -h --absolute-names -m '${attributes}' {} +\`.`;
}
