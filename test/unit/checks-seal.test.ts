import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Finding, Status } from '../../agent/checks/check.ts';
import { type Change, all, edit, file, handoff } from '../harness/changes.ts';
import { type Guest, evaluateGuest, goodGuest, maintenanceGuest, withGuest } from '../harness/guest.ts';

const mount =
  (name: string, line: string): Change =>
  ({ mounts }) => {
    mounts[name] = line;
  };
const swaps = (...lines: string[]) =>
  file(
    'proc/swaps',
    `Filename\t\t\t\tType\t\tSize\tUsed\tPriority\n${lines.map((each) => `${each}\n`).join('')}`,
  );
/** The fstab of the fixture is a text. */
const textOf = (content: Guest['files'][string] | undefined) => (typeof content === 'string' ? content : '');
const fstab =
  (...lines: string[]): Change =>
  ({ files }) => {
    files['etc/fstab'] = `${textOf(files['etc/fstab'])}${lines.map((each) => `${each}\n`).join('')}`;
  };
/** In the place of the line of a target. */
const fstabLine =
  (target: string, line: string): Change =>
  ({ files }) => {
    const before = textOf(files['etc/fstab']);
    files['etc/fstab'] = before.replace(new RegExp(`^\\S+ ${target} .*$`, 'm'), line);
    assert.is.not(files['etc/fstab'], before);
  };
/** A file system below /var on the sealed disk, which late boot knows about. */
const logOverlay: Change = all(
  mount('lowerlog', '252:2 / /run/immutafs/below/var+log ro,nosuid,nodev,noexec - xfs /dev/vda2 ro'),
  mount(
    'varlog',
    '0:50 / /var/log rw,nosuid,nodev - overlay immutafs rw,lowerdir=/run/immutafs/below/var+log,upperdir=/run/var/below/var+log/upper,workdir=/run/var/below/var+log/work',
  ),
  handoff({ LAYER: '/var/log overlay' }),
);
const selinux = (enforcing: string, contexts: string): Change =>
  all(
    file('sys/fs/selinux/enforce', enforcing),
    file('etc/selinux/config', '# x\nSELINUXTYPE=targeted\n'),
    file('etc/selinux/targeted/contexts/files/file_contexts', contexts),
  );

/** With SELinux and the labels that its policy has. */
const enforcingGuest = all(
  selinux('1', '/var -d a:b:var_t:s0\n/tmp -d a:b:tmp_t:s0\n'),
  labels('var_t', 'tmp_t'),
);

const breakages: Record<string, [Change, Record<string, Status>, (string | RegExp)?]> = {
  // kernel-view
  'another PID namespace': [
    file('proc/self/ns/pid', { linkTo: 'pid:[4026532000]' }),
    { 'kernel-view': 'error' },
    'another pid namespace',
  ],
  'another user namespace': [
    file('proc/self/ns/user', { linkTo: 'user:[4026532000]' }),
    { 'kernel-view': 'error' },
    'another user namespace',
  ],
  'PID 1 has another root': [
    file('proc/1/mountinfo', '61 1 253:0 / / ro - xfs /dev/sda1 ro\n'),
    { 'kernel-view': 'error' },
    'another mount namespace or another root',
  ],
  'PID 1 has nothing at its root': [
    file('proc/1/mountinfo', '60 1 253:0 / /x ro - xfs /dev/sda1 ro\n'),
    { 'kernel-view': 'error' },
  ],
  ...Object.fromEntries(
    [
      '/proc/self/mountinfo',
      '/proc/1234/mountinfo',
      '/proc/sys',
      '/proc/sys/kernel/random',
      '/proc/cmdline',
      '/sys/block/vda/ro',
      '/sys/dev/block',
      '/sys/devices/pci0000:00',
    ].map((target): [string, [Change, Record<string, Status>, string]] => [
      `something is mounted over ${target}`,
      [
        mount('over', `0:60 / ${target} ro - tmpfs tmpfs rw,size=10k`),
        { 'kernel-view': 'error' },
        `tmpfs is mounted over ${target}`,
      ],
    ]),
  ),
  'a tmpfs over /sys': [
    mount('over', '0:60 / /sys rw - tmpfs evil rw'),
    { 'kernel-view': 'error', 'stacked-mounts': 'fail' },
    'tmpfs is mounted on /sys',
  ],
  'what else is mounted below /proc and /sys': [
    all(
      mount('binfmt', '0:60 / /proc/sys/fs/binfmt_misc rw - binfmt_misc x rw'),
      mount('nfsd', '0:61 / /proc/fs/nfsd rw - nfsd x rw'),
      mount('cgroup', '0:62 / /sys/fs/cgroup ro - cgroup2 x rw'),
      mount('debug', '0:63 / /sys/kernel/debug rw - debugfs x rw'),
    ),
    {},
  ],

  // what must not fool anything
  '/dev/root for a source': [edit('root', '/dev/mapper/rhel-root', '/dev/root'), {}],
  'a tmpfs that is called overlay': [
    edit('var', /- overlay immutafs rw,.*/, '- tmpfs overlay rw,lowerdir=/run/immutafs/lower'),
    { 'var-overlay': 'fail', 'var-usage': 'skip' },
    '/var is tmpfs, not overlay',
  ],

  // *-options, below
  'something else is mounted below /home': [
    mount('below', '0:60 / /home/alice/x rw,nosuid,nodev - tmpfs a rw'),
    { 'home-options': 'fail' },
    'tmpfs at /home/alice/x without noexec',
  ],
  'what is mounted there has the options, or is read-only': [
    all(
      mount('good', '0:60 / /home/a rw,noexec,nosuid,nodev - tmpfs a rw'),
      mount('readonly', '0:61 / /home/b ro,nosuid,nodev - tmpfs b rw'),
      mount('beside', '0:62 / /homes rw,nosuid,nodev - tmpfs b rw'),
    ),
    {},
  ],

  // stacked-mounts
  'a second mount on /home, as good as the first': [
    mount('over', '0:60 / /home rw,noexec,nosuid,nodev - tmpfs evil rw'),
    { 'stacked-mounts': 'fail', 'fstab-consistent': 'pass' },
    '/home is tmpfs (evil); hidden: xfs (/dev/vdb)',
  ],
  'a second mount on /': [
    mount('over', '0:60 / / ro - tmpfs evil ro'),
    { 'stacked-mounts': 'fail', 'kernel-view': 'pass' },
    '/ is xfs (/dev/mapper/rhel-root); hidden: tmpfs (evil)',
  ],
  'a folder over itself, below what was mounted over both': [
    ({ mounts }) => {
      const home = mounts['home'] ?? '';
      delete mounts['home'];
      mounts['itself'] = '253:0 /home /home ro,relatime shared:40 - xfs /dev/mapper/rhel-root rw';
      mounts['home'] = home;
    },
    {},
  ],
  'another folder of the root below it': [
    ({ mounts }) => {
      const home = mounts['home'] ?? '';
      delete mounts['home'];
      mounts['other'] = '253:0 /srv /home ro,relatime shared:40 - xfs /dev/mapper/rhel-root rw';
      mounts['home'] = home;
    },
    { 'stacked-mounts': 'fail' },
    '/home is xfs (/dev/vdb); hidden: xfs (/dev/mapper/rhel-root)',
  ],
  'an automount point below what it mounted': [
    ({ mounts }) => {
      const home = mounts['home'] ?? '';
      delete mounts['home'];
      mounts['auto'] = '0:61 / /home rw,noexec,nosuid,nodev - autofs systemd-1 rw';
      mounts['home'] = home;
    },
    {},
  ],
  'a second mount where nothing depends on it': [
    all(
      mount('one', '0:60 / /mnt ro,noexec - tmpfs a ro'),
      mount('two', '0:61 / /mnt ro,noexec - tmpfs b ro'),
    ),
    {},
  ],

  // swap-off
  'swap in use on a disk of the system': [
    all(file('dev/vda2', ''), swaps('/dev/vda2                               partition\t1000\t0\t-2')),
    { 'swap-off': 'fail' },
    '/dev/vda2 is in use',
  ],
  'swap in use on another disk': [swaps('/dev/vdb partition\t1000\t0\t-2'), {}],
  'swap in compressed memory': [
    all(swaps('/dev/zram0 partition\t1000\t0\t100'), file('dev/zram0', ''), ({ devices }) =>
      devices.push({ name: 'zram0', device: '251:0', on: [] }),
    ),
    {},
  ],
  'a swap file on /': [swaps('/swapfile file\t1000\t0\t-2'), { 'swap-off': 'fail' }, '/swapfile is in use'],
  'a swap file on /home': [swaps('/home/swap\\040file file\t1000\t0\t-2'), {}],
  'a swap list that is damaged': [swaps('nonsense'), { 'swap-off': 'error' }, 'malformed'],
  'swap in fstab on a disk of the system': [
    all(file('dev/vda2', ''), fstab('/dev/vda2 none swap defaults 0 0')),
    { 'swap-off': 'fail' },
    '/etc/fstab line 5: /dev/vda2 is on a disk of the system',
  ],
  'swap in fstab on another disk': [fstab('/dev/vdb none swap defaults 0 0'), {}],
  'swap in fstab on another disk that is read-only': [
    all(fstab('/dev/vdc none swap defaults 0 0'), file('dev/vdc', ''), ({ devices }) =>
      devices.push({ name: 'vdc', device: '252:32', bus: 'virtio-blk', offered: true }),
    ),
    { 'swap-off': 'fail' },
  ],
  'swap in fstab on a device that is not there': [
    fstab('UUID=2 none swap sw 0 0'),
    { 'swap-off': 'fail' },
    'UUID=2 is not there',
  ],
  'the same, with nofail': [fstab('UUID=2 none swap sw,nofail 0 0'), {}],
  'swap in fstab that is not used at boot': [fstab('/dev/vda2 none swap noauto 0 0'), {}],
  'a swap file in fstab': [fstab('/swapfile none swap sw 0 0'), { 'swap-off': 'fail' }],

  // fstab-consistent
  'fstab has no ro for /': [
    fstabLine('/', '/dev/mapper/rhel-root / xfs defaults 0 0'),
    { 'fstab-consistent': 'fail' },
    'line 1, /: no ro',
  ],
  'fstab takes ro back': [
    fstabLine('/', '/dev/mapper/rhel-root / xfs ro,rw 0 0'),
    { 'fstab-consistent': 'fail' },
    'no ro',
  ],
  'fstab has ext4 checked at boot': [
    fstabLine('/boot', 'UUID=1 /boot ext4 ro 0 2'),
    { 'fstab-consistent': 'fail' },
    'line 2, /boot: checked at boot (2)',
  ],
  'fstab has XFS "checked" at boot': [fstabLine('/boot', 'UUID=1 /boot xfs ro 0 2'), {}],
  'fstab checks a disk that may be written': [
    fstabLine('/home', '/dev/vdb /home ext4 noexec,nosuid,nodev 1 2'),
    {},
  ],
  ...Object.fromEntries(
    ['usrquota', 'grpquota', 'prjquota', 'uquota', 'pqnoenforce', 'usrjquota=a', 'x-systemd.growfs'].map(
      (option): [string, [Change, Record<string, Status>, string]] => [
        `fstab asks for ${option}`,
        [
          fstabLine('/', `/dev/mapper/rhel-root / xfs ro,${option} 0 0`),
          { 'fstab-consistent': 'fail' },
          `line 1, /: ${option}`,
        ],
      ],
    ),
  ),
  'noquota is no quota': [fstabLine('/', '/dev/mapper/rhel-root / xfs ro,noquota 0 0'), {}],
  'fstab has something else for /home': [
    all(fstabLine('/home', '/dev/vda2 /home xfs ro,noexec,nosuid,nodev 0 0'), file('dev/vda2', '')),
    { 'fstab-consistent': 'fail' },
    'mounted from /dev/vdb (252:16), not from /dev/vda2',
  ],
  'fstab has what is not mounted': [
    fstab('/dev/vdb /srv xfs nodev 0 0'),
    { 'fstab-consistent': 'fail' },
    'line 5, /srv: not mounted',
  ],
  'what may be missing, is not mounted': [fstab('/dev/vdb /srv xfs nodev,nofail 0 0'), {}],
  'what is not mounted at boot': [fstab('/dev/vdb /srv xfs nodev,noauto 0 0'), {}],
  'fstab has options that the mount lost': [
    all(fstab('tmpfs /srv tmpfs ro,noexec,nodev 0 0'), mount('srv', '0:60 / /srv ro,noexec - tmpfs a rw')),
    { 'fstab-consistent': 'fail' },
    'line 5, /srv: mounted without nodev',
  ],
  'fstab is damaged': [fstab('/dev/vdb'), { 'fstab-consistent': 'fail' }, 'line 5: fewer than three fields'],
  'no fstab at all': [({ files }) => Reflect.deleteProperty(files, 'etc/fstab'), {}],
  '/var in fstab may be rw: the boot mounts it read-only': [
    all(fstab('/dev/vda2 /var xfs defaults 0 0'), file('dev/vda2', '')),
    {},
  ],

  // selinux-labels
  'a label that the policy has otherwise': [
    all(selinux('1', '/var\t-d\ta:b:usr_t:s0\n/tmp -d a:b:tmp_t:s0\n'), labels('var_t', 'tmp_t')),
    { 'selinux-labels': 'fail' },
    '/var is var_t, not usr_t',
  ],
  "a label that is the kernel's": [
    all(selinux('1', ''), labels('tmpfs_t', 'tmp_t')),
    { 'selinux-labels': 'fail' },
    '/var is tmpfs_t',
  ],
  '/tmp without a label': [
    all(selinux('1', ''), labels('var_t', 'unlabeled_t')),
    { 'selinux-labels': 'fail' },
    '/tmp is unlabeled_t',
  ],
  'the same, permissive': [all(selinux('0', ''), labels('tmpfs_t', 'tmp_t')), { 'selinux-labels': 'warn' }],
  'labels as they should be': [enforcingGuest, { 'selinux-labels': 'pass' }],
  'stat(1) has no answer': [all(selinux('1', ''), labels()), { 'selinux-labels': 'error' }, 'has no label'],

  // autorelabel-absent
  'somebody wants a relabelling': [
    all(enforcingGuest, file('.autorelabel', '')),
    { 'autorelabel-absent': 'fail', 'selinux-labels': 'pass' },
    '/.autorelabel is there',
  ],
  'the kernel argument wants one': [
    all(enforcingGuest, file('proc/cmdline', 'ro noresume autorelabel=1\n')),
    { 'autorelabel-absent': 'fail', 'selinux-labels': 'pass' },
    'kernel argument autorelabel=1',
  ],

  // rivals-off
  'rhel-readonly is on': [
    file('etc/sysconfig/readonly-root', '# x\nREADONLY=no\nREADONLY="yes" # y\n'),
    { 'rivals-off': 'fail' },
    'READONLY=yes in /etc/sysconfig/readonly-root',
  ],
  'its temporary state is on': [
    file('etc/sysconfig/readonly-root', 'TEMPORARY_STATE=yes\n'),
    { 'rivals-off': 'fail' },
  ],
  'rhel-readonly is off': [
    file('etc/sysconfig/readonly-root', 'READONLY=yes\nREADONLY=no\n#READONLY=yes\n'),
    {},
  ],
  'overlayroot is on': [
    file('etc/overlayroot.conf', 'overlayroot_cfgdisk="disabled"\noverlayroot="tmpfs:recurse=0"\n'),
    { 'rivals-off': 'fail' },
  ],
  'overlayroot is off by the kernel argument': [
    all(
      file('etc/overlayroot.conf', 'overlayroot="tmpfs"\n'),
      file('proc/cmdline', 'ro noresume overlayroot=disabled\n'),
    ),
    {},
  ],
  ...Object.fromEntries(
    [
      'readonlyroot',
      'overlayroot=tmpfs',
      'systemd.volatile=yes',
      'systemd.volatile',
      'rd.live.overlay.overlayfs=1',
      'rd.overlay',
      'lockfs',
    ].map((word): [string, [Change, Record<string, Status>, string]] => [
      `kernel argument ${word}`,
      [
        file('proc/cmdline', `ro noresume ${word} quiet\n`),
        { 'rivals-off': 'fail' },
        `kernel argument ${word}`,
      ],
    ]),
  ),
  'systemd.volatile=no': [file('proc/cmdline', 'ro noresume systemd.volatile=no xoverlayroot=1\n'), {}],

  // root-log
  ...Object.fromEntries(
    ['norecovery', 'noload', 'nologreplay', 'rescue=nologreplay'].map(
      (option): [string, [Change, Record<string, Status>, string]] => [
        `/ is mounted with ${option}`,
        [
          edit('root', ' ro,seclabel', ` ro,${option},seclabel`),
          { 'root-log': 'warn' },
          'log that was not written out',
        ],
      ],
    ),
  ),
  'the lower layer is': [edit('lower', ' ro,seclabel', ' ro,norecovery,seclabel'), { 'root-log': 'warn' }],

  // footholds
  'a file system on a disk to run things from': [
    mount('srv', '252:16 /srv /srv rw,relatime - xfs /dev/vdb rw'),
    { footholds: 'warn' },
    '/srv: xfs, writable, executable, outlives a reboot',
  ],
  "a server's": [mount('srv', '0:60 / /srv rw,relatime - nfs4 server:/x rw'), { footholds: 'warn' }],
  'an overlay whose upper layer is on a disk': [
    mount('c', '0:60 / /mnt rw - overlay overlay rw,lowerdir=/x,upperdir=/home/u,workdir=/home/w'),
    { footholds: 'warn' },
  ],
  'an overlay whose upper layer is in memory': [
    mount('c', '0:60 / /mnt rw - overlay overlay rw,lowerdir=/x,upperdir=/var/u,workdir=/var/w'),
    {},
  ],

  // kernel-lockdown-hints: see host-enforced
  // var-overlay, layers below
  'a layer below /var': [logOverlay, {}],
  'its overlay is gone': [
    all(logOverlay, ({ mounts }) => Reflect.deleteProperty(mounts, 'varlog')),
    { 'var-overlay': 'fail' },
    '/var/log is no overlay any more',
  ],
  'its upper layer is another': [
    all(logOverlay, edit('varlog', 'upperdir=/run/var/below/var+log/upper', 'upperdir=/run/var/upper')),
    { 'var-overlay': 'fail' },
    'the overlay on /var/log has no upperdir=/run/var/below/var+log/upper',
  ],
  'its lower layer can be written': [
    all(logOverlay, edit('lowerlog', 'log ro,', 'log rw,')),
    { 'var-overlay': 'fail' },
    '/run/immutafs/below/var+log is not mounted read-only',
  ],
  'its lower layer is on another disk, which is writable': [
    all(logOverlay, edit('lowerlog', '252:2 ', '252:16 ')),
    { 'var-overlay': 'fail' },
    '/run/immutafs/below/var+log is on vdb, which is writable',
  ],
  'late boot could not assemble one': [
    handoff({ LAYER: '/var/log failed' }),
    { 'var-overlay': 'fail' },
    '/var/log could not be assembled',
  ],
  'one that is on a disk of its own': [handoff({ LAYER: '/var/log disk' }), {}],
  'a file system below /var that nobody can write to': [
    mount('spool', '252:2 / /var/spool ro,nodev - xfs /dev/vda2 ro'),
    { 'var-overlay': 'fail' },
    '/var/spool is read-only and no overlay',
  ],
  'the lower layer is a tmpfs': [
    edit('lower', '253:0 /var', '0:70 /'),
    { 'var-overlay': 'fail' },
    '/run/immutafs/lower is on no disk',
  ],
};

/** What stat -c %C says of /var and /tmp. */
function labels(...types: string[]): Change {
  return ({ answers }) => {
    answers.labels = types.map((type) => `system_u:object_r:${type}:s0\n`).join('');
  };
}

const broken = suite('the rest of the seal: one thing broken, and only its check changes');
const before = statusesOf((await withGuest(goodGuest(), evaluateGuest)).checks);
for (const [title, [change, expected, said]] of Object.entries(breakages)) {
  broken(title, async () => {
    const guest = goodGuest();
    change(guest);
    const report = await withGuest(guest, evaluateGuest);
    const after = Object.entries(statusesOf(report.checks));
    const unlikeBefore = ([id, status]: [string, Status]) => before[id] !== status;
    assert.equal(
      Object.fromEntries(after.filter(unlikeBefore)),
      Object.fromEntries(Object.entries(expected).filter(unlikeBefore)),
    );
    const [id] = Object.keys(expected);
    const finding = report.checks.find((each) => each.id === id);
    if (said !== undefined) assert.match(finding?.observed ?? '', said);
    assert.is(finding?.status === 'fail' && finding.remedy === '', false, 'a failure says what to do');
    if (expected['kernel-view'] === 'error') assert.is(report.verdict, 'unknown');
  });
}
broken.run();

function statusesOf(findings: readonly Finding[]): Record<string, Status> {
  return Object.fromEntries(findings.map(({ id, status }) => [id, status]));
}

const others = suite('where it is not sealed, or not root');
const not = async (guest: Guest, change: Change, id: string) => {
  change(guest);
  const { checks } = await withGuest(guest, evaluateGuest);
  return checks.find((each) => each.id === id)?.status;
};

others('maintenance: a relabelling is only said', async () => {
  const wanted = all(enforcingGuest, file('.autorelabel', ''));
  assert.is(await not(maintenanceGuest(), wanted, 'autorelabel-absent'), 'warn');
});
others('maintenance: a rival still counts', async () => {
  assert.is(await not(maintenanceGuest(), file('proc/cmdline', 'readonlyroot\n'), 'rivals-off'), 'fail');
});
others('PID 1 that only root may look at is skipped, but not by root', async () => {
  const hidden: Change = ({ files }) => {
    files['proc/1/mountinfo'] = { linkTo: '/nothing' };
  };
  assert.is(await not(goodGuest(), hidden, 'kernel-view'), 'error');
  const guest = goodGuest();
  hidden(guest);
  const { checks, verdict } = await withGuest(guest, (reader) =>
    evaluateGuest({ ...reader, environment: () => ({ ...reader.environment(), uid: 1000 }) }),
  );
  assert.is(checks.find(({ id }) => id === 'kernel-view')?.status, 'skip');
  assert.is(verdict, 'sealed');
});
others.run();
