import { table } from '../../../harness/step-table.ts';

table('mtab', 'mtab', [
  ['a file', {}, 'needed', /is a file/, ['link /etc/mtab ../proc/self/mounts']],
  ['nothing', { 'etc/mtab': undefined }, 'needed', /is not there/, ['link /etc/mtab ../proc/self/mounts']],
  [
    'another link',
    { 'etc/mtab': { linkTo: '/run/m' } },
    'needed',
    /a link to \/run\/m/,
    ['link /etc/mtab ../proc/self/mounts'],
  ],
  ['the link of the seed', { 'etc/mtab': { linkTo: '/proc/mounts' } }, 'done', /link to \/proc\/mounts/, []],
  ['a folder', { 'etc/mtab': undefined, 'etc/mtab/x': '' }, 'blocked', /neither/, []],
]);
