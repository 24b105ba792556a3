import { newTmp, table, tmpOptions as seed } from '../../../harness/step-table.ts';

const root = '/dev/mapper/rhel-root / xfs ro 0 0\n';
const out = '# immutafs-agent prepare: /tmp is in memory now';

table('tmp', 'tmp', [
  ['no line', {}, 'needed', /has no \/tmp/, [newTmp(seed)]],
  ['no fstab', { 'etc/fstab': undefined }, 'needed', /has no \/tmp/, [newTmp(seed)]],
  [
    '--tmp-size and --tmp-mode',
    {},
    'needed',
    /a tmpfs will be added/,
    [newTmp('rw,size=1g,nr_inodes=50k,noexec,nodev,nosuid,mode=1700')],
    { tmpSize: '1g', tmpMode: '1700' },
  ],
  [
    'REQUIRE_OPTIONS without noexec',
    { 'etc/immutafs/immutafs.conf': 'REQUIRE_OPTIONS=/tmp:nosuid,nodev\n' },
    'needed',
    /a tmpfs will be added/,
    [newTmp('rw,size=25%,nr_inodes=50k,nodev,nosuid,mode=1777')],
  ],
  [
    'a good line',
    { 'etc/fstab': `${root}tmpfs /tmp tmpfs size=1g,nodev,nosuid,noexec\n` },
    'done',
    /has \/tmp with noexec,nodev,nosuid/,
    [],
  ],
  [
    'a line that lacks options',
    { 'etc/fstab': `${root}tmpfs /tmp tmpfs size=1g,exec,nodev\n` },
    'needed',
    /instead of size=1g,exec,nodev/,
    ['edit /etc/fstab: tmpfs /tmp tmpfs size=1g,noexec,nodev,nosuid'],
  ],
  [
    'a good line, with --tmp-mode',
    { 'etc/fstab': `${root}tmpfs /tmp tmpfs nodev,nosuid,noexec,mode=1777\n` },
    'needed',
    /mode=1700 instead/,
    ['edit /etc/fstab: tmpfs /tmp tmpfs nodev,nosuid,noexec,mode=1700'],
    { tmpMode: '1700' },
  ],
  [
    "a volume on the system's disk",
    { 'etc/fstab': `${root}/dev/mapper/rhel-home /tmp xfs defaults 0 0\n` },
    'needed',
    /which becomes read-only: a tmpfs will replace it/,
    [
      `edit /etc/fstab: ${out}; #/dev/mapper/rhel-home /tmp xfs defaults 0 0; # /tmp in memory; tmpfs /tmp tmpfs ${seed} 0 0`,
    ],
  ],
  [
    'a bind mount',
    { 'etc/fstab': `${root}/var/tmp /tmp none bind 0 0\n` },
    'needed',
    /a bind mount/,
    [`edit /etc/fstab: ${out}; #/var/tmp /tmp none bind 0 0; # /tmp in memory; tmpfs /tmp tmpfs ${seed} 0 0`],
  ],
  [
    'another disk',
    { 'etc/fstab': `${root}/dev/vdb /tmp xfs defaults 0 0\n` },
    'needed',
    /have the options defaults,noexec,nodev,nosuid/,
    ['edit /etc/fstab: /dev/vdb /tmp xfs defaults,noexec,nodev,nosuid 0 0'],
    { tmpMode: '1700' },
  ],
  [
    'two lines',
    { 'etc/fstab': `${root}tmpfs /tmp tmpfs\ntmpfs /tmp tmpfs\n` },
    'by hand',
    /several lines for \/tmp \(2, 3\)/,
    [],
  ],
]);
