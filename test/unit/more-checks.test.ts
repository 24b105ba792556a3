import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Change, all, config, edit, file } from '../harness/changes.ts';
import { type Table, findingOf, testFindings } from '../harness/finding.ts';
import { maintenanceGuest } from '../harness/guest.ts';

/** With SELinux, whose labels do not matter here. */
const relabelled = (change: Change): Change => all(file('sys/fs/selinux/enforce', '1'), change);

/** [what is changed in a good guest, the status, what is observed] by check; others may follow. */
const table: Table = {
  'host-enforced': {
    'a SCSI disk of which nobody says who made it read-only': [
      scsi([]),
      'fail',
      'only the block-device flag',
    ],
    'a SCSI disk that the kernel found write-protected': [
      scsi(['5,300,1000000,-;sd 2:0:0:0: [sda] Write Protect is on\n SUBSYSTEM=scsi']),
      'pass',
      "by the kernel's log",
    ],
  },
  'kernel-view': {
    'another pid namespace': [
      file('proc/self/ns/pid', { linkTo: 'pid:[4026532000]' }),
      'error',
      "another pid namespace than the kernel's first",
    ],
    'another user namespace': [
      file('proc/self/ns/user', { linkTo: 'user:[4026532000]' }),
      'error',
      "another user namespace than the kernel's first",
    ],
    'another mount namespace': [
      file('proc/1/mountinfo', '1 0 0:1 / / rw - ext4 /dev/vda rw\n'),
      'error',
      'another mount namespace or another root',
    ],
    'something over /proc/self': [
      add('forged', '0:50 / /proc/self rw - tmpfs x rw'),
      'error',
      'tmpfs is mounted over /proc/self',
    ],
    'something over a disk in sysfs': [
      add('forged', '0:50 / /sys/block/vda rw - tmpfs x rw'),
      'error',
      'tmpfs is mounted over /sys/block/vda',
    ],
    'PID 1 cannot be read by root': [
      file('proc/1/mountinfo', { linkTo: 'nowhere' }),
      'error',
      /1\/mountinfo/,
    ],
  },
  'stacked-mounts': {
    'a second mount over /tmp': [
      add('over', '0:50 / /tmp rw,noexec,nosuid,nodev - tmpfs other rw'),
      'fail',
      '/tmp is tmpfs (other); hidden: tmpfs (tmpfs)',
    ],
    'a second mount elsewhere is nobody’s business': [
      all(add('one', '0:50 / /mnt ro - tmpfs one ro'), add('two', '0:51 / /mnt ro - tmpfs two ro')),
      'pass',
    ],
  },
  'swap-off': {
    'a partition of the system': [
      file('proc/swaps', 'Filename Type Size Used Priority\n/dev/dm-0 partition 1048572 0 -2\n'),
      'fail',
      '/dev/dm-0 is in use',
    ],
    'a partition of another disk': [
      file('proc/swaps', 'Filename Type Size Used Priority\n/dev/vdb partition 1048572 0 -2\n'),
      'pass',
      'only /dev/vdb, elsewhere',
    ],
    'a file on the system': [
      file('proc/swaps', 'Filename Type Size Used Priority\n/swapfile file 1048572 0 -2\n'),
      'fail',
      '/swapfile is in use',
    ],
    'a kernel without swap': [file('proc/swaps', undefined), 'pass', 'none in use'],
    'a list that is none': [file('proc/swaps', 'hello\n'), 'error', 'does not begin with its heading'],
    'fstab wants it': [
      fstab('/dev/vda1 none swap defaults 0 0'),
      'fail',
      '/etc/fstab line 5: /dev/vda1 is on a disk of the system',
    ],
    'fstab wants it with noauto': [fstab('/dev/vda1 none swap noauto 0 0'), 'pass'],
    'fstab wants what is not there': [fstab('UUID=9 none swap defaults 0 0'), 'fail', 'UUID=9 is not there'],
  },
  'fstab-consistent': {
    '/ without ro': [
      replaceFstab('rhel-root / xfs ro', 'rhel-root / xfs defaults'),
      'fail',
      'line 1, /: no ro',
    ],
    '/ with ro undone by a later rw': [replaceFstab('/ xfs ro', '/ xfs ro,rw'), 'fail', 'no ro'],
    'a check at boot': [replaceFstab('/boot xfs ro 0 0', '/boot ext4 ro 0 2'), 'fail', 'checked at boot (2)'],
    'a quota': [replaceFstab('/ xfs ro', '/ xfs ro,usrquota'), 'fail', 'usrquota'],
    'a line that is none': [fstab('/dev/vdb /srv'), 'fail', 'line 5: fewer than three fields'],
    'what is not mounted': [fstab('/dev/vdb /srv xfs defaults 0 0'), 'fail', 'line 5, /srv: not mounted'],
    'what is not mounted, and need not be': [fstab('/dev/vdb /srv xfs nofail 0 0'), 'pass'],
    'mounted from another device': [
      replaceFstab('/dev/vdb /home xfs', '/dev/vda1 /home xfs'),
      'fail',
      /mounted from \/dev\/vdb/,
    ],
    'no fstab': [file('etc/fstab', undefined), 'pass', 'no line'],
  },
  'autorelabel-absent': {
    'the file': [relabelled(file('.autorelabel', '')), 'fail', '/.autorelabel is there'],
    'the file, with SELinux off': [file('.autorelabel', ''), 'pass', 'SELinux is off, nothing acts on it'],
    'the kernel argument': [
      relabelled(file('proc/cmdline', 'ro autorelabel=1\n')),
      'fail',
      'kernel argument autorelabel=1',
    ],
    'the kernel argument without a value': [relabelled(file('proc/cmdline', 'ro autorelabel\n')), 'fail'],
    'the kernel argument that says no is not understood': [
      relabelled(file('proc/cmdline', 'ro autorelabel=0\n')),
      'fail',
      'autorelabel=0',
    ],
    'another argument': [relabelled(file('proc/cmdline', 'ro noautorelabel autorelabels\n')), 'pass'],
    'between quotes, where policycoreutils finds it': [
      relabelled(file('proc/cmdline', 'foo="bar autorelabel baz"\n')),
      'fail',
      'kernel argument foo=bar autorelabel baz',
    ],
  },
  'rivals-off': {
    READONLY: [
      file('etc/sysconfig/readonly-root', '# x\nREADONLY=yes\n'),
      'fail',
      'READONLY=yes in /etc/sysconfig/readonly-root',
    ],
    'TEMPORARY_STATE in quotes': [file('etc/sysconfig/readonly-root', 'TEMPORARY_STATE="yes"\n'), 'fail'],
    'the last one counts': [file('etc/sysconfig/readonly-root', 'READONLY=yes\nREADONLY=no\n'), 'pass'],
    'systemd.volatile': [file('proc/cmdline', 'systemd.volatile=overlay\n'), 'fail', 'systemd.volatile'],
    'systemd.volatile=no': [file('proc/cmdline', 'systemd.volatile=no\n'), 'pass'],
    'between quotes': [file('proc/cmdline', 'x="a systemd.volatile=yes b"\n'), 'pass'],
    overlayroot: [file('etc/overlayroot.conf', 'overlayroot="tmpfs"\n'), 'fail', 'overlayroot=tmpfs'],
    'overlayroot, switched off by the kernel argument': [
      all(
        file('etc/overlayroot.conf', 'overlayroot=tmpfs\n'),
        file('proc/cmdline', 'overlayroot=disabled\n'),
      ),
      'pass',
    ],
    '/ is an overlay': [edit('root', '- xfs', '- overlay'), 'fail', '/ is an overlay'],
  },
  'root-log': {
    '/ with norecovery': [edit('root', 'ro,seclabel', 'ro,norecovery,seclabel'), 'warn', 'not written out'],
    'the lower layer with noload': [edit('lower', 'ro,seclabel', 'ro,noload,seclabel'), 'warn'],
  },
  footholds: {
    'a disk for data, executable': [edit('home', 'noexec,', ''), 'warn', '/home: xfs, writable, executable'],
    'a tmpfs that is executable does not outlive a reboot': [edit('tmp', 'noexec,', ''), 'pass'],
    'an overlay whose upper layer is on a disk': [
      edit('upper', '- tmpfs immutafs', '- xfs /dev/vdb'),
      'warn',
    ],
  },
  'selinux-labels': {
    'they are the policy’s': [
      labels('system_u:object_r:var_t:s0', 'system_u:object_r:tmp_t:s0'),
      'pass',
      'var_t tmp_t',
    ],
    'tmpfs_t, enforcing': [
      labels('system_u:object_r:tmpfs_t:s0', 'system_u:object_r:tmp_t:s0'),
      'fail',
      '/var is tmpfs_t',
    ],
    'tmpfs_t, permissive': [
      all(
        labels('system_u:object_r:tmpfs_t:s0', 'system_u:object_r:tmp_t:s0'),
        file('sys/fs/selinux/enforce', '0'),
      ),
      'warn',
    ],
    'stat(1) has no answer': [file('sys/fs/selinux/enforce', '1'), 'error', 'has no label of each of'],
  },
};

/** The root on a SCSI disk with its flag set. */
function scsi(log: string[]): Change {
  return ({ devices, answers }) => {
    const partitions = { sda1: '252:1', sda2: '252:2' };
    devices[0] = { name: 'sda', device: '8:0', bus: 'virtio-scsi', readOnly: true, partitions };
    devices[2] = { name: 'dm-0', device: '253:0', on: ['sda2'], readOnly: true };
    answers.kernelLog = log;
  };
}
function add(name: string, line: string): Change {
  return ({ mounts }) => {
    mounts[name] = line;
  };
}
/** Of a file that is no link. */
function textOf(content: string | { linkTo: string } | undefined): string {
  assert.type(content, 'string');
  return content as string;
}
function fstab(line: string): Change {
  return ({ files }) => {
    files['etc/fstab'] = `${textOf(files['etc/fstab'])}${line}\n`;
  };
}
function replaceFstab(from: string, to: string): Change {
  return ({ files }) => {
    const before = textOf(files['etc/fstab']);
    files['etc/fstab'] = before.replace(from, to);
    assert.is.not(files['etc/fstab'], before);
  };
}
function labels(...contexts: string[]): Change {
  return ({ files, answers }) => {
    files['sys/fs/selinux/enforce'] = '1';
    answers.labels = contexts.map((each) => `${each}\n`).join('');
  };
}

testFindings('more', table);

const probes = suite('probes of REQUIRE_OPTIONS');
for (const [kind, good, bad] of [
  ['exec', 'EACCES', 'RAN'],
  ['suid', 'IGNORED', 'HONOURED'],
  ['device', 'EACCES', 'OPENED'],
] as const) {
  for (const [answer, status] of [
    [good, 'pass'],
    [bad, 'fail'],
    ['TIMEOUT', 'error'],
    ['ENOSPC', 'error'],
    ['EPERM', 'error'],
  ] as const) {
    probes(`${kind} answers ${answer}`, async () => {
      const change: Change = ({ answers }) => {
        answers.probes[kind] = answer;
      };
      assert.is((await findingOf(`${kind}-probe`, change)).status, status);
      assert.is((await findingOf(`${kind}-probe`, change, { probe: false })).status, 'skip', 'nobody asked');
    });
  }
}
probes('an option that is not required is not tried', async () => {
  const change = config('REQUIRE_OPTIONS=/home:nosuid\n');
  assert.is((await findingOf('exec-probe', change)).status, 'skip');
  assert.is((await findingOf('suid-probe', change)).status, 'pass');
});
probes.run();

const maintenance = suite('in maintenance');
maintenance('/.autorelabel only warns', async () => {
  const { status } = await findingOf('autorelabel-absent', relabelled(file('.autorelabel', '')), {
    guest: maintenanceGuest(),
  });
  assert.is(status, 'warn');
});
maintenance('swap is of no interest', async () => {
  const change = file('proc/swaps', 'Filename Type\n/dev/dm-0 partition 1 0 -2\n');
  assert.is((await findingOf('swap-off', change, { guest: maintenanceGuest() })).status, 'skip');
});
maintenance.run();
