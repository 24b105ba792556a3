import * as assert from 'uvu/assert';
import { suite } from 'uvu';
import { parseConfig } from '../../../agent/config/config.ts';
import { addedOptions } from '../../../agent/facts/mounts/targets.ts';
import { all, config, edit, mount } from '../../harness/changes.ts';
import { testChanges } from '../../harness/finding.ts';
import { withLibrary } from '../../shell/shells.ts';

const overlay =
  'overlay immutafs rw,lowerdir=/run/immutafs/lower,upperdir=/run/var/upper,workdir=/run/var/work';
const onVar = (name: string, options: string) =>
  mount(`var-${name}`, `0:42 /${name} /var/${name} rw,${options} - ${overlay}`);

testChanges('mount-options', {
  ...Object.fromEntries(
    ['noexec', 'nosuid', 'nodev'].map((option, _, every) => [
      `/var/tmp lacks ${option}`,
      [
        onVar('tmp', every.filter((each) => each !== option).join(',')),
        { 'mount-options': 'fail' },
        `/var/tmp without ${option}`,
      ],
    ]),
  ),
  '/var/tmp and /var/log have the options': [
    all(onVar('tmp', 'noexec,nosuid,nodev'), onVar('log', 'noexec,nosuid,nodev,relatime')),
    { 'mount-options': 'pass' },
  ],
  '/dev/shm lacks all options': [
    edit('shm', 'noexec,nosuid,nodev', 'relatime'),
    { 'mount-options': 'fail' },
    '/dev/shm without noexec,nosuid,nodev',
  ],
  '/var/log is no mount point': [
    ({ directories }) => directories.push('var/log'),
    { 'mount-options': 'fail' },
    '/var/log without noexec',
  ],
  'a directory without a mount of its own, but with the options': [
    all(config('MOUNT_OPTIONS=/var/log:nosuid,nodev\n'), ({ directories }) => directories.push('var/log')),
    { 'mount-options': 'pass' },
  ],
  'a later mount on /var/tmp counts': [
    mount('late', '0:60 / /var/tmp rw,nosuid,nodev - tmpfs tmpfs rw'),
    { 'mount-options': 'fail', 'stacked-mounts': 'warn' },
  ],
  'a path that does not exist': [config('MOUNT_OPTIONS=/nowhere:noexec\n'), { 'mount-options': 'skip' }],
  'no options': [config('MOUNT_OPTIONS=\n'), { 'mount-options': 'skip' }],
  'strict, but programs may run from /run and /var': [
    config('MOUNT_OPTIONS=strict\n'),
    { 'mount-options': 'fail' },
    '/run without noexec; /var without noexec',
  ],
  strict: [
    all(
      config('MOUNT_OPTIONS=strict\n'),
      edit('run', 'nodev', 'nodev,noexec'),
      edit('var', 'nodev', 'nodev,noexec'),
      edit('dev', 'nosuid', 'nosuid,noexec'),
    ),
    { 'mount-options': 'pass' },
  ],
  'the directory of a user who is logged in': [
    all(
      config('MOUNT_OPTIONS=/run/user/*:noexec\n'),
      mount('user', '0:61 / /run/user/1000 rw,nosuid,nodev - tmpfs tmpfs rw'),
    ),
    { 'mount-options': 'fail' },
    '/run/user/1000 without noexec',
  ],
  'on RHEL 7, the directories of users are in one tmpfs': [
    all(
      config('MOUNT_OPTIONS=/run/user/*:noexec\n'),
      mount('users', '0:61 / /run/user rw,nosuid,nodev,noexec - tmpfs tmpfs rw'),
      ({ directories }) => directories.push('run', 'run/user', 'run/user/1000'),
    ),
    { 'mount-options': 'pass' },
  ],
  'this tmpfs is not mounted, and /run has the directories': [
    all(config('MOUNT_OPTIONS=/run/user/*:noexec\n'), ({ directories }) =>
      directories.push('run', 'run/user', 'run/user/1000'),
    ),
    { 'mount-options': 'fail' },
    '/run/user/1000 without noexec',
  ],
  'logind has mounted a tmpfs over one of them': [
    all(
      config('MOUNT_OPTIONS=/run/user/*:noexec\n'),
      mount('users', '0:61 / /run/user rw,nosuid,nodev,noexec - tmpfs tmpfs rw'),
      mount('user', '0:62 / /run/user/1000 rw,nosuid,nodev - tmpfs tmpfs rw'),
    ),
    { 'mount-options': 'fail' },
    '/run/user/1000 without noexec',
  ],
  'the directory of a user with the option, and a mount without nosuid below it': [
    all(
      config('MOUNT_OPTIONS=/run/user/*:noexec\n'),
      mount('user', '0:61 / /run/user/1000 rw,nosuid,nodev,noexec - tmpfs tmpfs rw'),
      mount('below', '0:62 / /run/user/1000/doc rw,noexec - fuse.portal portal rw'),
    ),
    { 'mount-options': 'pass' },
  ],
});

const parsed = suite('addedOptions');
const parse = (value: string) => addedOptions(parseConfig(`MOUNT_OPTIONS=${value}\n`).config);
parsed('strict stands for the items that the boot sets', () => {
  const lines = 'conf_MOUNT_OPTIONS=strict; expand_mount_options; printf "%s" "$option_items"';
  assert.equal(
    parse('strict').map(({ target, list }) => `${target}:${list.join(',')}`),
    withLibrary(['dash'], lines).trim().split(/ +/),
  );
});
parsed('several items for a target', () => {
  assert.equal(parse('/a:noexec /b:nodev /a:noexec,nosuid'), [
    { target: '/a', list: ['noexec', 'nosuid'] },
    { target: '/b', list: ['nodev'] },
  ]);
});
parsed.run();
