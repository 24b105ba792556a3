import { table } from '../../../harness/step-table.ts';

table('mtab', 'mtab', [
  ['a file', {}, 'needed', /is a file/, ['link /etc/mtab ../proc/self/mounts']],
  ['no file', { 'etc/mtab': undefined }, 'needed', /does not exist/, ['link /etc/mtab ../proc/self/mounts']],
  [
    'another link',
    { 'etc/mtab': { linkTo: '/run/m' } },
    'needed',
    /a link to \/run\/m/,
    ['link /etc/mtab ../proc/self/mounts'],
  ],
  [
    'a link to /proc/mounts',
    { 'etc/mtab': { linkTo: '/proc/mounts' } },
    'done',
    /link to \/proc\/mounts/,
    [],
  ],
  ['a folder', { 'etc/mtab': undefined, 'etc/mtab/x': '' }, 'blocked', /neither/, []],
]);
