import fs from 'node:fs';
import path from 'node:path';
import type { Mount } from '../../agent/facts/mounts/mountinfo.ts';

const directory = path.join(import.meta.dirname, '../fixtures/mountinfo');

/** Reads a file of test/fixtures/mountinfo, one character per byte. */
export const mountinfoFixture = (name: string) => fs.readFileSync(path.join(directory, name), 'latin1');

/** The files of test/fixtures/mountinfo: the number of mounts, and the id of the mount that serves each path. */
export const mountTables: readonly (readonly [
  name: string,
  count: number,
  served: Record<string, string>,
])[] = [
  [
    'centos-7.3',
    35,
    {
      '/': '60',
      '/var/lib/rpm': '60',
      '/boot': '72',
      '/boot/grub2': '72',
      '/bootx': '60',
      '/home': '74',
      '/home/akutz/2/x': '119',
      '/proc/sys/fs/binfmt_misc/x': '116',
      '/run/user/1000': '109',
      '/run/user/10000': '23',
    },
  ],
  ['rhel-8', 32, { '/': '93', '/boot/x': '114', '/var': '93', '/tmp': '93', '/sys/fs/cgroup/blkio': '38' }],
  [
    'centos-7.9-sealed',
    32,
    { '/': '36', '/var': '39', '/var/log': '39', '/run/immutafs/lower/log': '37', '/run/var': '38' },
  ],
  ['fedora-34', 28, { '/': '92', '/boot': '90', '/boot/efi/EFI': '103', '/tmp': '87' }],
  ['debian-13', 12, { '/': '27', '/dev/shm': '30', '/dev/pts/0': '29', '/dev/null': '24', '/var': '27' }],
];

/** Returns a line of mountinfo. */
export const mountLine = (
  changes: Partial<Record<'optional' | 'target' | 'source' | 'rest' | 'root', string>>,
) => {
  const { optional = '', target = '/x', source = 'src', rest = 'rw', root = '/' } = changes;
  return `36 35 98:0 ${root} ${target} rw,noatime${optional} - ext3 ${source} ${rest}\n`;
};

/** Lines that the agent reads in the same way: title, text, and how the mount differs from the first. */
export const mountLines: readonly (readonly [title: string, text: string, expected: Partial<Mount>])[] = [
  ['no optional field', mountLine({}), {}],
  ['several optional fields', mountLine({ optional: ' shared:1 master:2 propagate_from:3 unbindable' }), {}],
  ['a space', mountLine({ target: '/my\\040disk' }), { target: '/my disk' }],
  [
    'a tab, a newline, a backslash, a hash',
    mountLine({ target: '/\\011\\012\\134\\043' }),
    { target: '/\t\n\\#' },
  ],
  ['an escaped backslash before digits', mountLine({ target: '/\\134040' }), { target: '/\\040' }],
  ['UTF-8', mountLine({ target: '/\xc3\xa4' }), { target: '/ä' }],
  [
    'UTF-8 with a byte that is a space in latin1',
    mountLine({ target: '/voil\xc3\xa0' }),
    { target: '/voilà' },
  ],
  ['a form feed, which the kernel does not escape', mountLine({ target: '/a\fb' }), { target: '/a\fb' }],
  ['a carriage return', mountLine({ target: '/a\rb' }), { target: '/a\rb' }],
  ['no source', mountLine({ source: '' }), { source: '' }],
  ['a hyphen in the target', mountLine({ target: '/a - b'.replaceAll(' ', '\\040') }), { target: '/a - b' }],
  ['a hyphen as source', mountLine({ source: '-' }), { source: '-' }],
  ['a namespace', mountLine({ root: 'net:[4026532287]' }), { root: 'net:[4026532287]' }],
  ['a part of the file system', mountLine({ root: '/sub//deleted' }), { root: '/sub//deleted' }],
  [
    'a comma in an escaped option',
    mountLine({ rest: 'rw,lowerdir=/a\\040b' }),
    { superOptions: ['rw', 'lowerdir=/a b'] },
  ],
];
