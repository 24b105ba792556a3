import { table } from '../../../harness/step-table.ts';

const newTmp = (options: string) => `edit /etc/fstab: # /tmp in memory; tmpfs /tmp tmpfs ${options} 0 0`;
const seed = 'rw,size=25%,nr_inodes=50k,noexec,nodev,nosuid,mode=1777';
const root = '/dev/mapper/rhel-root / xfs ro 0 0\n';
const unit = 'etc/systemd/system/tmp.mount';
const out = '# immutafs-agent prepare: /tmp is in memory now';

table('tmp', 'tmp', [
  ['no line', {}, 'needed', /has no \/tmp/, [newTmp(seed)]],
  ['no fstab', { 'etc/fstab': undefined }, 'needed', /has no \/tmp/, [newTmp(seed)]],
  [
    'size and mode by option',
    {},
    'needed',
    /a tmpfs is added/,
    [newTmp('rw,size=1g,nr_inodes=50k,noexec,nodev,nosuid,mode=1700')],
    { tmpSize: '1g', tmpMode: '1700' },
  ],
  [
    'REQUIRE_OPTIONS without noexec',
    { 'etc/immutafs/immutafs.conf': 'REQUIRE_OPTIONS=/tmp:nosuid,nodev\n' },
    'needed',
    /a tmpfs is added/,
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
    'a line that lacks something',
    { 'etc/fstab': `${root}tmpfs /tmp tmpfs size=1g,exec,nodev\n` },
    'needed',
    /instead of size=1g,exec,nodev/,
    ['edit /etc/fstab: tmpfs /tmp tmpfs size=1g,noexec,nodev,nosuid'],
  ],
  [
    'a good line, and another mode asked for',
    { 'etc/fstab': `${root}tmpfs /tmp tmpfs nodev,nosuid,noexec,mode=1777\n` },
    'needed',
    /mode=1700 instead/,
    ['edit /etc/fstab: tmpfs /tmp tmpfs nodev,nosuid,noexec,mode=1700'],
    { tmpMode: '1700' },
  ],
  [
    'a partition of the disk of the system',
    { 'etc/fstab': `${root}/dev/mapper/rhel-home /tmp xfs defaults 0 0\n` },
    'needed',
    /which becomes read-only: a tmpfs takes its place/,
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
    /with the options defaults,noexec,nodev,nosuid/,
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
  [
    'tmp.mount is masked',
    { [unit]: { linkTo: '/dev/null' } },
    'needed',
    /lets nothing be mounted/,
    [`remove /${unit}`, newTmp(seed)],
  ],
  [
    'a tmp.mount of the administrator that is good',
    { [unit]: '[Mount]\nWhat=tmpfs\nWhere=/tmp\nType=tmpfs\nOptions=nosuid,nodev,noexec\n' },
    'done',
    /tmp\.mount mounts a tmpfs with/,
    [],
  ],
  [
    'one that is not, beside a good line',
    {
      [unit]: '[Mount]\nType=tmpfs\nOptions=mode=1777,nosuid\n',
      'etc/fstab': `${root}tmpfs /tmp tmpfs nodev,nosuid,noexec\n`,
    },
    'needed',
    /without noexec,nodev/,
    [`remove /${unit}`],
  ],
  [
    'one of another type',
    { [unit]: '[Mount]\nWhat=/dev/vdb\nType=xfs\nOptions=nosuid,nodev,noexec\n' },
    'needed',
    /mounts no tmpfs/,
    [`remove /${unit}`, newTmp(seed)],
  ],
  [
    'a drop-in with other options',
    { [`${unit}.d/size.conf`]: '[Mount]\nOptions=size=1g\n', [`${unit}.d/after.conf`]: '[Unit]\nAfter=x\n' },
    'needed',
    /size\.conf would win/,
    [`remove /${unit}.d/size.conf`, newTmp(seed)],
  ],
]);
