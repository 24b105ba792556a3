import { newTmp, table, tmpOptions } from '../../../harness/step-table.ts';

const root = '/dev/mapper/rhel-root / xfs ro 0 0\n';
const unit = 'etc/systemd/system/tmp.mount';

table('tmp: units of the administrator', 'tmp', [
  [
    'tmp.mount is masked',
    { [unit]: { linkTo: '/dev/null' } },
    'needed',
    /masks tmp\.mount/,
    [`remove /${unit}`, newTmp(tmpOptions)],
  ],
  [
    'a good tmp.mount',
    { [unit]: '[Mount]\nWhat=tmpfs\nWhere=/tmp\nType=tmpfs\nOptions=nosuid,nodev,noexec\n' },
    'done',
    /tmp\.mount mounts a tmpfs with/,
    [],
  ],
  [
    'a tmp.mount that lacks options, beside a good line',
    {
      [unit]: '[Mount]\nType=tmpfs\nOptions=mode=1777,nosuid\n',
      'etc/fstab': `${root}tmpfs /tmp tmpfs nodev,nosuid,noexec\n`,
    },
    'needed',
    /without noexec,nodev/,
    [`remove /${unit}`],
  ],
  [
    'a tmp.mount of another type',
    { [unit]: '[Mount]\nWhat=/dev/vdb\nType=xfs\nOptions=nosuid,nodev,noexec\n' },
    'needed',
    /mounts no tmpfs/,
    [`remove /${unit}`, newTmp(tmpOptions)],
  ],
  [
    'a drop-in with other options',
    { [`${unit}.d/size.conf`]: '[Mount]\nOptions=size=1g\n', [`${unit}.d/after.conf`]: '[Unit]\nAfter=x\n' },
    'needed',
    /size\.conf overrides/,
    [`remove /${unit}.d/size.conf`, newTmp(tmpOptions)],
  ],
]);
