import fs from 'node:fs';
import path from 'node:path';
import { evaluateGuest } from '../../agent/evaluate.ts';
import type { Report } from '../../agent/report/report.ts';
import { type SystemReader, type ProbeKind, systemReader } from '../../agent/system/reader.ts';
import { version } from '../../agent/lib/version.ts';
import { type DiskFixture, type StackFixture, makeSysfs } from './sysfs.ts';
import { whileTemporaryDirectory, writeFiles } from './temporary.ts';

/** The fixture of a guest: everything that the agent reads. */
export interface Guest {
  /** mountinfo without the ids, by name: "device root target options - type source superOptions". */
  mounts: Record<string, string>;
  files: Record<string, string | { linkTo: string }>;
  devices: (DiskFixture | StackFixture)[];
  directories: string[];
  /** The results of calls that do not read files of the fixture. */
  answers: {
    usage: ReturnType<SystemReader['usage']>;
    /** The result of writes to the targets of REQUIRE_READONLY. */
    tryWrite: string;
    /** The results of the probes of REQUIRE_OPTIONS. */
    probes: Partial<Record<ProbeKind, string>>;
    /** The output of stat(1) for SELinux labels. */
    labels: string;
    /** Returns the result of a program; undefined selects the default result. */
    run?: (program: string, args: readonly string[]) => Awaited<ReturnType<SystemReader['run']>> | undefined;
    kernelLog: string[];
    /** Seconds since the boot; 100 if undefined. */
    uptime?: number;
  };
}

const lvm = 'rw,seclabel,attr2,inode64,noquota';
const hardened = 'noexec,nosuid,nodev';

/** Returns a sealed RHEL 7 guest with XFS on LVM, for which every check passes. */
export function goodGuest(): Guest {
  return {
    mounts: {
      sys: '0:17 / /sys rw,nosuid,nodev,noexec,relatime shared:6 - sysfs sysfs rw,seclabel',
      proc: '0:3 / /proc rw,nosuid,nodev,noexec,relatime shared:5 - proc proc rw',
      dev: '0:5 / /dev rw,nosuid shared:2 - devtmpfs devtmpfs rw,seclabel,size=930460k,nr_inodes=232615,mode=755',
      run: '0:18 / /run rw,nosuid,nodev shared:23 - tmpfs tmpfs rw,seclabel,mode=755',
      root: `253:0 / / ro,relatime shared:1 - xfs /dev/mapper/rhel-root ${lvm.replace('rw', 'ro')}`,
      boot: `252:1 / /boot ro,relatime shared:28 - xfs /dev/vda1 ${lvm.replace('rw', 'ro')}`,
      home: `252:16 / /home rw,${hardened},relatime shared:29 - xfs /dev/vdb ${lvm}`,
      tmp: `0:40 / /tmp rw,${hardened} shared:30 - tmpfs tmpfs rw,seclabel`,
      upper:
        '0:41 / /run/var rw,nosuid,nodev,noexec,relatime - tmpfs immutafs rw,seclabel,size=262144k,nr_inodes=204800,mode=700',
      lower: `253:0 /var /run/immutafs/lower ro,nosuid,nodev,noexec,relatime - xfs /dev/mapper/rhel-root ${lvm.replace('rw', 'ro')}`,
      var: '0:42 / /var rw,nosuid,nodev,relatime - overlay immutafs rw,lowerdir=/run/immutafs/lower,upperdir=/run/var/upper,workdir=/run/var/work',
      shm: `0:19 / /dev/shm rw,${hardened} shared:3 - tmpfs tmpfs rw,seclabel`,
    },
    files: {
      'etc/immutafs/immutafs.conf': '',
      'etc/mtab': { linkTo: '../proc/self/mounts' },
      'etc/os-release':
        'NAME="Red Hat Enterprise Linux"\nPRETTY_NAME="Red Hat Enterprise Linux Server 7.9 (Maipo)"\n',
      'etc/fstab': [
        '/dev/mapper/rhel-root / xfs ro 0 0',
        'UUID=1 /boot xfs ro 0 0',
        '/dev/vdb /home xfs noexec,nosuid,nodev 0 0',
        'tmpfs /tmp tmpfs noexec,nosuid,nodev 0 0',
        'tmpfs /dev/shm tmpfs noexec,nosuid,nodev 0 0',
        '',
      ].join('\n'),
      'dev/vda1': '',
      'dev/vdb': '',
      'dev/dm-0': '',
      'dev/mapper/rhel-root': { linkTo: '../dm-0' },
      'dev/disk/by-uuid/1': { linkTo: '../../vda1' },
      'proc/cmdline': 'BOOT_IMAGE=/vmlinuz root=/dev/mapper/rhel-root ro crashkernel=auto quiet noresume\n',
      'proc/swaps': 'Filename\t\t\t\tType\t\tSize\tUsed\tPriority\n',
      'proc/self/ns/pid': { linkTo: 'pid:[4026531836]' },
      'proc/self/ns/user': { linkTo: 'user:[4026531837]' },
      'proc/sys/kernel/random/boot_id': '6ad9c6b3-2c5b-4b0e-9b1f-6d6f0c1f3a52\n',
      'proc/1/maps': mapsOf('fd:00', '/usr/lib/systemd/systemd', '/usr/lib64/libc-2.17.so'),
      'proc/1/statm': memorySize,
      'proc/1/exe': { linkTo: '/usr/lib/systemd/systemd' },
      'proc/sys/vm/memfd_noexec': '2\n',
      'proc/sys/user/max_user_namespaces': '0\n',
      'proc/sys/kernel/yama/ptrace_scope': '2\n',
      'proc/sys/kernel/kexec_load_disabled': '1\n',
      'sys/module/module/parameters/sig_enforce': 'Y\n',
      'sys/class/misc/hw_random/rng_current': 'virtio_rng.0\n',
      'run/immutafs/boot.env': bootEnv(),
    },
    devices: [
      {
        name: 'vda',
        device: '252:0',
        bus: 'virtio-blk',
        offered: true,
        partitions: { vda1: '252:1', vda2: '252:2' },
      },
      { name: 'vdb', device: '252:16', bus: 'virtio-blk' },
      { name: 'dm-0', device: '253:0', on: ['vda2'], readOnly: true },
    ],
    directories: ['boot', 'home', 'tmp', 'var'],
    answers: {
      usage: {
        type: 0x794c7630,
        sizeBytes: 256 * 1024 * 1024,
        usedBytes: 12 * 1024 * 1024,
        inodes: 204800,
        inodesUsed: 1000,
      },
      tryWrite: 'EROFS',
      probes: { present: 'YES', write: 'EROFS', exec: 'EACCES', suid: 'EACCES', device: 'EACCES' },
      labels: '',
      kernelLog: [],
    },
  };
}

/** The size of the memory of a process, in pages. */
export const memorySize = '3051 2008 1407 387 0 500 0\n';

/** Returns the maps of a process with files of one device (hexadecimal, as in maps), and with anonymous memory. */
export function mapsOf(device: string, ...paths: string[]): string {
  const lines = paths.flatMap((path, index) => {
    const end = ` ${device} ${1000 + index}                         ${path}`;
    return [
      `7f${index}000-7f${index}fff r-xp 00002000${end}`,
      `7f${index}fff-7f${index + 1}000 rw-p 00003000${end}`,
    ];
  });
  const anonymous = [
    '7ff0000-7ff1000 rwxp 00000000 00:00 0 ',
    '7ff2000-7ff3000 r-xp 00000000 00:00 0    [vdso]',
  ];
  return [...lines, ...anonymous, ''].join('\n');
}

/** Returns a boot.env as the boot writes it. @param changes new values by key; undefined removes the key */
export function bootEnv(changes: Record<string, string | undefined> = {}): string {
  const values: Record<string, string | undefined> = {
    VERSION: version,
    STAGE: 'initramfs',
    UPTIME: '3.14',
    MODE: 'sealed',
    REASON: 'disk vda is read-only (virtio-feature)',
    DISKS: 'vda:1:virtio-feature',
    VAR: 'overlay',
    ASSEMBLED: 'initramfs',
    ON_FAILURE: 'degraded',
    ...changes,
  };
  return Object.entries(values)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');
}

/** Returns a guest whose disk the host left writable, in a rehearsal in which every check passes or is skipped. */
export function rehearsalGuest(): Guest {
  const guest = goodGuest();
  guest.devices[0] = { ...(guest.devices[0] as DiskFixture), offered: false };
  guest.devices[2] = { name: 'dm-0', device: '253:0', on: ['vda2'], readOnly: false };
  guest.files['run/immutafs/boot.env'] = bootEnv({
    REASON: 'rehearsal of a sealed boot, enforced by the guest alone',
    DISKS: 'vda:0:none',
    REHEARSAL: '1800',
  });
  return guest;
}

/** Returns a guest whose disk the host left writable, for which every check passes or is skipped. */
export function maintenanceGuest(): Guest {
  const guest = goodGuest();
  const { mounts, devices, files } = guest;
  for (const name of ['root', 'boot']) mounts[name] = (mounts[name] ?? '').replace(/\bro\b/g, 'rw');
  for (const name of ['upper', 'lower', 'var']) delete mounts[name];
  devices[0] = { ...(devices[0] as DiskFixture), offered: false };
  files['run/immutafs/boot.env'] = bootEnv({
    MODE: 'maintenance',
    REASON: 'disk vda is writable',
    DISKS: 'vda:0:none',
    VAR: 'disk',
  });
  guest.answers.tryWrite = 'OK';
  return guest;
}

/** Creates the files of a guest in an empty directory and returns a reader for the guest. */
export function makeGuest(root: string, guest: Guest): SystemReader {
  for (const directory of guest.directories) fs.mkdirSync(path.join(root, directory));
  for (const [, upper = ''] of Object.values(guest.mounts).map(
    (line) => /upperdir=([^,\s]+)/.exec(line) ?? [],
  ))
    fs.mkdirSync(path.join(root, upper), { recursive: true });
  makeSysfs(root, guest.devices);
  const table = mountinfo(guest.mounts);
  writeFiles(root, { 'proc/self/mountinfo': table, 'proc/1/mountinfo': table, ...guest.files });
  const { usage, tryWrite, probes, labels, kernelLog, run, uptime = 100 } = guest.answers;
  return {
    ...systemReader({ root }),
    usage: () => usage,
    tryWrites: (directories) => Promise.resolve(directories.map(() => tryWrite)),
    probe: (kinds) => Promise.resolve(Object.fromEntries(kinds.map((kind) => [kind, probes[kind]]))),
    run: (program, args, _, output) => {
      const usual: Awaited<ReturnType<SystemReader['run']>> =
        program === '/usr/bin/find'
          ? { stdout: '', ended: 'good' }
          : { stdout: labels, ended: labels === '' ? 'bad' : 'good' };
      const result = run?.(program, args) ?? usual;
      if (output === undefined) return Promise.resolve(result);
      output(result.stdout);
      return Promise.resolve({ ...result, stdout: '' });
    },
    kernelLog: () => kernelLog,
    environment: () => ({ hostname: 'guest7', kernel: '3.10.0-1160.el7.x86_64', uid: 0, seconds: uptime }),
    now: () => new Date('2026-03-04T05:06:07.089Z'),
  };
}

/** Returns a mountinfo. The root has the ID 60, because on EL7 the root is not the first line either. */
function mountinfo(mounts: Record<string, string>): string {
  const lines = Object.entries(mounts).map(([name, line], index) => {
    const [id, parent] = name === 'root' ? [60, 1] : [100 + index, parentOf(name, mounts)];
    return `${id} ${parent} ${line}\n`;
  });
  return lines.join('');
}

/**
 * Returns the ID of the mount that served the target when this mount was made: the last earlier mount on the same
 * target, otherwise the mount on the nearest directory above.
 */
function parentOf(name: string, mounts: Record<string, string>): number {
  const names = Object.keys(mounts);
  const targetOf = (each: string) => (mounts[each] ?? '').split(' ')[2] ?? '';
  const target = targetOf(name);
  const same = names.slice(0, names.indexOf(name)).findLast((each) => targetOf(each) === target);
  const above = names
    .filter((each) => target.startsWith(`${targetOf(each)}/`))
    .sort((one, other) => targetOf(other).length - targetOf(one).length);
  const parent = same ?? above[0] ?? 'root';
  return parent === 'root' ? 60 : 100 + names.indexOf(parent);
}

/** Evaluates a guest. */
export function evaluateFixture(guest: Guest): Promise<Report> {
  return withGuest(guest, (reader) => evaluateGuest(reader));
}

export function withGuest<T>(
  guest: Guest,
  action: (reader: SystemReader, root: string) => Promise<T> | T,
): Promise<T> {
  // Use memory if possible, because on a busy disk the fsync(2) calls of `prepare` take seconds.
  const base = fs.existsSync('/dev/shm') ? '/dev/shm' : '/tmp';
  return whileTemporaryDirectory((root) => action(makeGuest(root, guest), root), base);
}
