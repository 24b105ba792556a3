import { newTmp, table, tmpOptions } from '../../../harness/step-table.ts';

const root = '/dev/mapper/rhel-root / xfs ro 0 0\n';
const unit = 'etc/systemd/system/tmp.mount';

table('tmp: units of the administrator', 'tmp', [
  [
    'tmp.mount is masked',
    { [unit]: { linkTo: '/dev/null' } },
    'needed',
    /lets nothing be mounted/,
    [`remove /${unit}`, newTmp(tmpOptions)],
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
    [`remove /${unit}`, newTmp(tmpOptions)],
  ],
  [
    'a drop-in with other options',
    { [`${unit}.d/size.conf`]: '[Mount]\nOptions=size=1g\n', [`${unit}.d/after.conf`]: '[Unit]\nAfter=x\n' },
    'needed',
    /size\.conf would win/,
    [`remove /${unit}.d/size.conf`, newTmp(tmpOptions)],
  ],
]);
