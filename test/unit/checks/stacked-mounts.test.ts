import {
  type Change,
  all,
  another,
  belowHome,
  config,
  file,
  moreFstab,
  mount,
  nothing,
} from '../../harness/changes.ts';
import { type Cases, inEach, testChanges, testFindings } from '../../harness/finding.ts';

testChanges('stacked-mounts', {
  'a second mount on /home with the same options': [
    mount('over', '0:60 / /home rw,noexec,nosuid,nodev - tmpfs evil rw'),
    { 'stacked-mounts': 'fail: /home is tmpfs (evil); hidden: xfs (/dev/vdb)', 'fstab-consistent': 'pass' },
  ],
  'a second mount on /': [
    mount('over', '0:60 / / ro - tmpfs evil ro'),
    {
      'stacked-mounts': 'fail: / is xfs (/dev/mapper/rhel-root); hidden: tmpfs (evil)',
      'kernel-view': 'pass',
    },
  ],
  'a directory bound over itself, below the mount over both': [
    belowHome('253:0 /home /home ro,relatime shared:40 - xfs /dev/mapper/rhel-root rw'),
    {},
  ],
  'another directory of the root below the mount': [
    belowHome('253:0 /srv /home ro,relatime shared:40 - xfs /dev/mapper/rhel-root rw'),
    'fail: /home is xfs (/dev/vdb); hidden: xfs (/dev/mapper/rhel-root)',
  ],
  'an automount point below its own mount': [
    belowHome('0:61 / /home rw,noexec,nosuid,nodev - autofs systemd-1 rw'),
    {},
  ],
  'a second mount elsewhere': [
    mount('one', '0:60 / /mnt ro,noexec - tmpfs a ro'),
    mount('two', '0:61 / /mnt ro,noexec - tmpfs b ro'),
    {},
  ],
});

const over = (target: string) => mount('over', `0:60 / ${target} rw - tmpfs evil rw`);
/** A file of the root file system, bound over another. */
const bound = (root: string, target: string) =>
  mount('over', `253:0 ${root} ${target} ro - xfs /dev/mapper/rhel-root ro`);

testFindings('stacked-mounts: inputs of the agent', {
  ...inEach(
    [
      ...['/run/udev/data', '/etc/passwd', '/etc/pki/tls', '/usr', '/usr/libexec', '/usr/libexec/immutafs'],
      ...['/usr/bin/journalctl', '/usr/lib64/libc.so.6', '/run/systemd', '/run/immutafs/boot.env'],
    ],
    (target) => [over(target), `fail: ${target} is tmpfs (evil), not what was sealed`],
  ),
  'another program of the sealed disk over read-mappings': [
    bound('/usr/bin/true', '/usr/libexec/immutafs/read-mappings'),
    'fail',
  ],
  'a directory of programs that is bound over itself': [bound('/usr/libexec', '/usr/libexec'), 'pass'],
  'a directory that has no inputs, outside of /usr and /etc': [over('/srv/data'), 'pass'],
  'a mount that fstab names': [over('/usr/lib/debug'), moreFstab('evil /usr/lib/debug tmpfs rw 0 0'), 'pass'],
  '/usr of another disk': [mount('usr', '252:16 / /usr ro - xfs /dev/vdb ro'), 'fail'],
});

testChanges('stacked-mounts', {
  '/usr of another disk that the host made read-only, which fstab names': [
    all(another, mount('usr', '252:32 / /usr ro - xfs /dev/vdc ro'), moreFstab('/dev/vdc /usr xfs ro 0 0')),
    {},
  ],
  '/usr of a disk that the host left writable, which fstab names: host-enforced reports the disk': [
    all(
      file('dev/vdc', ''),
      (guest) => guest.devices.push({ name: 'vdc', device: '252:32', bus: 'virtio-blk' }),
      mount('usr', '252:32 / /usr ro - xfs /dev/vdc ro'),
      moreFstab('/dev/vdc /usr xfs ro 0 0'),
    ),
    { 'host-enforced': 'fail: not offered by the host', 'kernel-lockdown-hints': 'warn' },
  ],
});

/** Mounts inside a layer and over files of the sealed disk. */
const tmpfs = (target: string) => mount('over', `0:60 / ${target} rw,noexec,nosuid,nodev - tmpfs evil rw`);
const root = 'xfs /dev/mapper/rhel-root ro';

testChanges('stacked-mounts', {
  'a tmpfs over the jobs of cron': [
    tmpfs('/var/spool/cron/crontabs'),
    'fail: /var/spool/cron/crontabs is tmpfs (evil), which neither fstab nor the boot mounted',
  ],
  'a tmpfs on other data in /var': [
    tmpfs('/var/lib/app'),
    'warn: /var/lib/app is tmpfs (evil), which neither fstab nor the boot mounted',
  ],
});

const fails = (target: string, line: string): Cases[string] => [
  mount('over', line.replace('TARGET', target)),
  `fail: ${target}`,
];
testFindings('stacked-mounts: unexplained mounts', {
  ...inEach(
    ['/var/spool', '/var/spool/at', '/var/lib/systemd/linger', '/usr/bin', '/root/.ssh', '/opt'],
    (each) => [tmpfs(each), `fail: ${each} is tmpfs (evil)`],
  ),
  'a directory of the layer, bound over the jobs of cron': fails(
    '/var/spool/cron',
    '0:42 /tmp/evil TARGET rw,nosuid,nodev - overlay immutafs rw,upperdir=/run/var/upper',
  ),
  'a directory of the sealed disk, bound over /etc/cron.hourly': fails(
    '/etc/cron.hourly',
    `253:0 /usr/bin TARGET ro - ${root}`,
  ),
  'a pseudo file system over the jobs of cron': fails('/var/spool/cron', '0:3 / TARGET rw - proc proc rw'),
  'a container of which the storage is in a place of cron': fails(
    '/var/spool/cron/x',
    '0:61 / TARGET rw - overlay overlay rw,lowerdir=/a:/b,upperdir=/c',
  ),
  'a file of /run over lvmlocal.conf, but not that of the boot': fails(
    '/etc/lvm/lvmlocal.conf',
    '0:18 /evil TARGET ro - tmpfs tmpfs rw',
  ),
  'a tmpfs in an overlay of OVERLAY': [
    config('OVERLAY=/srv/app\n'),
    mount(
      'app',
      '0:43 / /srv/app rw - overlay immutafs rw,lowerdir=/x,upperdir=/run/var/below/srv+app/upper',
    ),
    tmpfs('/srv/app/bin'),
    'fail: /srv/app/bin is tmpfs (evil)',
  ],
  'a tmpfs in the place of a file system that fstab names': [
    all(moreFstab('/dev/vdc /var/lib/app xfs nofail 0 0'), tmpfs('/var/lib/app')),
    'warn',
  ],
  'a tmpfs in the place of a mount unit for a file system on a disk': [
    file('usr/lib/systemd/system/var-spool-cron.mount', '[Mount]\nWhat=/dev/vdc\nType=xfs\n'),
    tmpfs('/var/spool/cron'),
    'fail',
  ],
  'a tmpfs at a target of REQUIRE_READONLY': [
    all(config('REQUIRE_READONLY=/ /boot /opt\n'), tmpfs('/opt')),
    'fail: /opt is tmpfs (evil)',
  ],
  'a tmpfs in a path of PERSIST': [
    all(config('PERSIST=/srv/data\nPERSIST_STORE=/home/store\n'), tmpfs('/srv/data/x')),
    'warn: /srv/data/x is tmpfs (evil)',
  ],
  'FUSE and a network file system on data': [
    mount('fuse', '0:60 / /var/lib/one rw - fuse.sshfs a:/b rw'),
    mount('nfs', '0:61 / /var/lib/two rw - nfs4 server:/x rw'),
    /^warn: .*\/var\/lib\/one is fuse\.sshfs .*; \/var\/lib\/two is nfs4/,
  ],
});

/** A podman or Docker host, as `podman run` and `docker run` leave its mount table. */
const containers = all(
  mount(
    'bound',
    '0:42 /lib/containers/storage/overlay /var/lib/containers/storage/overlay rw - overlay immutafs rw,upperdir=/run/var/upper',
  ),
  mount('shm', '0:62 / /var/lib/containers/storage/overlay-containers/1/userdata/shm rw - tmpfs shm rw'),
  mount(
    'merged',
    '0:63 / /var/lib/containers/storage/overlay/1/merged rw - overlay overlay rw,lowerdir=/a:/b,upperdir=/c',
  ),
  mount(
    'docker',
    '0:64 / /var/lib/docker/overlay2/1/merged rw - overlay overlay rw,lowerdir=/a:/b,upperdir=/c',
  ),
  mount(
    'devicemapper',
    '0:42 /lib/docker/devicemapper /var/lib/docker/devicemapper rw - overlay immutafs rw,upperdir=/run/var/upper',
  ),
);
/** What named-chroot-setup binds into the chroot. */
const named = all(
  mount('conf', `253:0 /etc/named.conf /var/named/chroot/etc/named.conf ro - ${root}`),
  mount('random', '0:5 /random /var/named/chroot/dev/random rw,nosuid - devtmpfs devtmpfs rw'),
  mount('socket', '0:18 /named /var/named/chroot/run/named rw,nosuid,nodev - tmpfs tmpfs rw'),
  mount(
    'ports',
    '0:3 /sys/net/ipv4/ip_local_port_range /var/named/chroot/proc/sys/net/ipv4/ip_local_port_range ro - proc proc rw',
  ),
);
const unit = '[Mount]\nWhat=/dev/vdc\nWhere=/var/lib/my-app\n';
const ordinary: Record<string, Change> = {
  'a container host': containers,
  'named in a chroot': named,
  'an NFS client': mount('rpc', '0:60 / /var/lib/nfs/rpc_pipefs rw,relatime - rpc_pipefs sunrpc rw'),
  snaps: mount('snap', '7:0 / /var/lib/snapd/snap/core20/1026 ro,nodev - squashfs /dev/loop0 ro'),
  'fstab: a tmpfs': all(moreFstab('tmpfs /var/cache/app tmpfs nosuid 0 0'), tmpfs('/var/cache/app')),
  'fstab: NFS': all(
    moreFstab('server:/x /opt/app nfs ro 0 0'),
    mount('nfs', '0:61 / /opt/app ro - nfs4 server:/x ro'),
  ),
  'fstab: a bind mount over a place of cron': all(
    moreFstab('/home/cron /var/spool/cron none bind 0 0'),
    mount('bind', '252:16 /cron /var/spool/cron rw,nosuid,nodev,noexec - xfs /dev/vdb rw'),
  ),
  'a disk at a target of REQUIRE_READONLY': all(
    config('REQUIRE_READONLY=/ /boot /opt\n'),
    mount('opt', '252:48 / /opt ro - ext4 /dev/md0 ro'),
  ),
  'a mount unit with an escaped name': all(
    file('etc/systemd/system/var-lib-my\\x2dapp.mount', unit),
    tmpfs('/var/lib/my-app'),
  ),
  'an automounter': all(
    mount('auto', '0:60 / /var/lib/auto rw - autofs /etc/auto.misc rw,fd=5'),
    mount('nfs', '0:61 / /var/lib/auto/one rw - nfs4 server:/x rw'),
  ),
  "the boot's configuration of LVM": mount(
    'lvm',
    '0:18 /immutafs/lvmlocal.conf /etc/lvm/lvmlocal.conf ro,nosuid,nodev,noexec - tmpfs tmpfs rw',
  ),
  'a machine ID that systemd made': mount('id', '0:18 /machine-id /etc/machine-id ro - tmpfs tmpfs rw'),
  'mount options of a directory in /var': mount(
    'tmp',
    '0:42 /tmp /var/tmp rw,noexec,nosuid,nodev - overlay immutafs rw,upperdir=/run/var/upper',
  ),
  'a tmpfs outside': tmpfs('/mnt'),
};
testFindings(
  'stacked-mounts: mounts of ordinary guests',
  inEach(Object.keys(ordinary), (title) => [ordinary[title] ?? nothing, 'pass']),
);
