import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SystemError } from '../../../agent/lib/errors.ts';
import type { SystemReader } from '../../../agent/system/reader.ts';
import { type Change, all, config, disk, file, mount } from '../../harness/changes.ts';
import { asUser, findingOf, lastReportOf, testChanges, testFindings } from '../../harness/finding.ts';
import { evaluateGuest } from '../../../agent/evaluate.ts';
import * as session from '../../harness/session-files.ts';
import {
  bootEnv,
  goodGuest,
  maintenanceGuest,
  mapsOf,
  memorySize,
  evaluateFixture,
  withGuest,
} from '../../harness/guest.ts';

const id = 'foreign-programs';
/** A process of which every file is on a device (hexadecimal, as in maps). */
const runs = (pid: number, device: string, ...paths: string[]): Change =>
  all(
    file(`proc/${pid}/maps`, mapsOf(device, ...paths)),
    file(`proc/${pid}/statm`, memorySize),
    file(`proc/${pid}/exe`, { linkTo: paths[0] ?? '' }),
    file(`proc/${pid}/status`, 'Uid:\t0\t0\t0\t0\n'),
    file(`proc/${pid}/cgroup`, '0::/system.slice/a.service\n'),
  );
/** A Python of the sealed disk with an unlinked file in /tmp that is mapped twice. */
const tuned = all(
  runs(7, 'fd:00', '/usr/bin/python2.7'),
  file(
    'proc/7/maps',
    ['r-xs', 'rw-s']
      .map((each) => `7f0000000000-7f0000001000 ${each} 00000000 00:28 99 /tmp/ffi2bLxQz (deleted)\n`)
      .join('') + mapsOf('fd:00', '/usr/bin/python2.7'),
  ),
  file('proc/7/cgroup', '0::/system.slice/tuned.service\n'),
);
const plymouthd = (device: string, ticks: number): Change =>
  all(runs(7, device, '/usr/sbin/plymouthd (deleted)'), file('proc/7/stat', stat(ticks)));
/** The record of an initramfs on a file system with this device, 3.14 s after the start of the kernel. */
const recorded = (device: string): Change =>
  file('run/immutafs/boot.env', bootEnv({ UPTIME: '3.14', INITRAMFS: device }));
/** A tmpfs on /dev/shm with the device 00:2b, which was mounted with noexec after the program had started. */
const shm = mount('shm', '0:43 / /dev/shm rw,nosuid,nodev,noexec - tmpfs tmpfs rw');
/** A session, and a process with a program of an overlay that is not mounted in the namespace of the agent. */
const aSessionOfAlice = all(session.recorded(), session.held(), runs(7, '00:63', '/usr/bin/strace'));
const fromShm = all(shm, runs(7, '00:2b', '/dev/shm/x'));

testChanges(id, {
  'a program in a tmpfs': [
    fromShm,
    'warn: PID 7 (0, a.service) runs /dev/shm/x: in memory, tmpfs at /dev/shm',
  ],
});

testFindings(id, {
  'every process runs programs of the sealed disk': [runs(7, 'fd:00', '/usr/bin/a'), 'pass: 2 processes'],
  'a program and a library on /boot, which is a partition of the sealed disk': [
    runs(7, 'fc:01', '/boot/a', '/boot/b'),
    'pass',
  ],
  'a program on /home': [runs(7, 'fc:10', '/home/a/x'), 'warn: xfs at /home'],
  'a library on /home': [
    runs(7, 'fd:00', '/usr/bin/a'),
    file('proc/7/maps', mapsOf('fd:00', '/usr/bin/a') + mapsOf('fc:10', '/home/x.so')),
    'warn: PID 7 (0, a.service) maps /home/x.so: xfs at /home',
  ],
  'a deleted program': [shm, runs(7, '00:2b', '/dev/shm/x (deleted)'), 'warn: /dev/shm/x (deleted): deleted'],
  'a memfd': [runs(7, '00:01', '/memfd:x (deleted)'), 'warn: memfd, in memory only'],
  'a file system of another mount namespace, with the path of a program of the sealed disk': [
    runs(7, '00:63', '/usr/lib/systemd/systemd'),
    'warn: on a file system of another mount namespace',
  ],
  'the upper layer of /var as kernels before 6.7 show it': [
    runs(7, '00:29', '/var/lib/x'),
    'warn: /var/lib/x: changed in the overlay at /var',
  ],
  'the lower layer of /var as kernels before 6.7 show it': [runs(7, 'fd:00', '/var/lib/x'), 'pass'],
  'an overlay as kernels from 6.7 on show it, without proof that the file is in the lower layer': [
    runs(7, '00:2a', '/var/lib/x'),
    'warn: changed in the overlay at /var',
  ],
  'a deleted file of the sealed disk, in an overlay': [runs(7, 'fd:00', '/var/lib/x (deleted)'), 'pass'],
  'a deleted file with the name of anonymous memory in a mounted tmpfs': [
    all(shm, runs(7, '00:2b', '/dev/zero (deleted)')),
    'warn',
  ],
  'an executable of which nothing is mapped': [
    all(runs(7, 'fd:00', '/usr/bin/a'), file('proc/7/exe', { linkTo: '/dev/shm/x' })),
    'warn: runs /dev/shm/x',
  ],
  'a program in a session': [
    all(aSessionOfAlice, file('proc/7/ns/mnt', { linkTo: 'mnt:[4026532000]' })),
    'warn: PID 7 (0, a.service) runs /usr/bin/strace: in session 1 of alice',
  ],
  'the same outside of the session': [
    all(aSessionOfAlice, file('proc/7/ns/mnt', { linkTo: 'mnt:[4026532001]' })),
    'warn: PID 7 (0, a.service) runs /usr/bin/strace: on a file system of another mount namespace',
  ],
  'a program of the initramfs, which started before the initramfs wrote its record': [
    all(recorded('0:2'), plymouthd('00:02', 314)),
    'pass',
  ],
  'the same, but started later': [recorded('0:2'), plymouthd('00:02', 315), 'warn'],
  'a deleted file on another file system that no path leads to': [
    all(recorded('0:2'), plymouthd('00:43', 314)),
    'warn',
  ],
  'a program of an initramfs that wrote no record': [plymouthd('00:02', 314), 'warn'],
  'a kernel thread and a zombie': [
    all(...[7, 8].map((pid) => file(`proc/${pid}/statm`, '0 0 0 0 0 0 0\n'))),
    'pass: 1 processes',
  ],
  'many programs: the first are named': [
    all(shm, ...[7, 8, 9, 10, 11].map((pid) => runs(pid, '00:2b', `/dev/shm/${pid}`))),
    /^warn: .*PID 7 .*PID 8 .*PID 9 .* and 2 more$/,
  ],
  'FOREIGN_PROGRAMS=fail': [fromShm, config('FOREIGN_PROGRAMS=fail'), 'fail'],
  'FOREIGN_PROGRAMS=off': [fromShm, config('FOREIGN_PROGRAMS=off'), 'skip: switched off'],
  'the beginning of a name is no directory': [fromShm, config('FOREIGN_PROGRAMS_ALLOW=/dev/sh'), 'warn'],
  'deleted in a permitted directory': [
    all(shm, runs(7, '00:2b', '/dev/shm/x (deleted)'), config('FOREIGN_PROGRAMS_ALLOW=/dev/shm')),
    'warn',
  ],
  'of another mount namespace, with a permitted path': [
    all(runs(7, '00:63', '/dev/shm/x'), config('FOREIGN_PROGRAMS_ALLOW=/dev/shm')),
    'warn',
  ],
  'a permitted memfd': [
    all(runs(7, '00:01', '/memfd:libffi (deleted)'), config('FOREIGN_PROGRAMS_ALLOW=/memfd:libffi')),
    'pass',
  ],
  'a memfd with another name': [
    all(runs(7, '00:01', '/memfd:libffi2 (deleted)'), config('FOREIGN_PROGRAMS_ALLOW=/memfd:libffi')),
    'warn',
  ],
  'an unlinked file, as libffi of RHEL 7 maps it for its closures': [
    tuned,
    'warn: PID 7 (0, tuned.service) maps /tmp/ffi2bLxQz (deleted): deleted',
  ],
  'the same, which no item permits': [
    all(tuned, config('FOREIGN_PROGRAMS_ALLOW=/tmp closure:tuned.service')),
    'warn',
  ],
  'maps that are malformed': [
    all(runs(7, 'fd:00', '/usr/bin/a'), file('proc/7/maps', '1000-2000 r-xp x\n')),
    'error: 1 of 2 processes (PID 7: maps has a malformed line',
  ],
  'PID 1 is not visible (hidepid)': [file('proc/1/statm', undefined), 'error: not visible in /proc'],
  'the host did not make the disk read-only': [
    disk({ offered: false, readOnly: true }),
    'skip: not examined',
  ],
  'the same with FOREIGN_PROGRAMS=fail': [
    all(disk({ offered: false, readOnly: true }), config('FOREIGN_PROGRAMS=fail')),
    'fail',
  ],
});

function stat(ticks: number): string {
  return `7 (a) S 1 1 1 0 -1 4194560 1 1 0 0 0 0 0 0 20 0 1 0 ${ticks} 1 1 1\n`;
}

const reading = suite(`${id}: reading`);

/** Makes one process fail. */
const failing =
  (pid: number, code: string) =>
  (reader: SystemReader): SystemReader => ({
    ...reader,
    processes: {
      ...reader.processes,
      mappedFiles: () => Promise.resolve(undefined),
      read: (each, name, limit) => {
        if (each === pid && name === 'maps') throw new SystemError(`/proc/${pid}/maps: ${code}`, code);
        return reader.processes.read(each, name, limit);
      },
    },
  });

reading('unreadable maps: an error, never a pass; required with FOREIGN_PROGRAMS=fail', async () => {
  const change = runs(7, 'fd:00', '/usr/bin/a');
  const advisory = await findingOf(id, change, { as: failing(7, 'EACCES') });
  assert.equal([advisory.status, advisory.severity, advisory.verdict], ['error', 'advisory', 'sealed']);
  assert.match(advisory.observed, '1 of 2 processes (PID 7: /proc/7/maps: EACCES)');
  const required = await findingOf(id, all(change, config('FOREIGN_PROGRAMS=fail')), {
    as: failing(7, 'EACCES'),
  });
  assert.equal([required.status, required.severity, required.verdict], ['error', 'required', 'unknown']);
});
reading('a foreign program is named although another process is unreadable', async () => {
  const { status, observed } = await findingOf(id, all(fromShm, runs(8, 'fd:00', '/usr/bin/a')), {
    as: failing(8, 'EFBIG'),
  });
  assert.is(status, 'warn');
  assert.match(observed, /PID 7 .*; not examined: 1 of 3 processes \(PID 8/);
});
reading('not as root: skipped, or with FOREIGN_PROGRAMS=fail an error', async () => {
  const as = (reader: SystemReader) => asUser(failing(1, 'EACCES')(reader));
  const report = await lastReportOf();
  assert.is((await findingOf(id, report, { as })).status, 'skip');
  assert.is((await findingOf(id, all(report, config('FOREIGN_PROGRAMS=fail')), { as })).status, 'error');
});
/** Adds mappings with the names of shared anonymous memory and huge pages to a process, as read-mappings finds them. */
const withMemory =
  (device: string, memory: ReadonlySet<string>) =>
  (reader: SystemReader): SystemReader => ({
    ...reader,
    processes: {
      ...reader.processes,
      mappedFiles: (pids) => {
        const executable = '/usr/bin/a';
        const paths = ['/dev/zero (deleted)', '/anon_hugepage (deleted)'];
        const mapped = paths.map((path) => ({ device, inode: 5, path }));
        mapped.push({ device: '253:0', inode: 5, path: executable });
        return Promise.resolve({
          groups: [{ executable, mapped, pids }],
          ...{ addresses: new Map(), unreadable: new Map(), rest: [], memory },
        });
      },
    },
  });
for (const [title, device, memory, status] of [
  ['on a device of memory', '0:1', ['0:1', '0:17'], 'pass'],
  ['on another device', '0:60', ['0:1', '0:17'], 'warn'],
  ['if the devices of memory are unknown', '0:1', [], 'warn'],
] as const) {
  reading(`names of shared anonymous memory and huge pages ${title}`, async () => {
    const as = withMemory(device, new Set(memory));
    assert.is((await findingOf(id, () => undefined, { as })).status, status);
  });
}
/** Gives the file at a path an inode; `undefined` means that its file system may hang. */
const withInode =
  (path: string, inode: number | undefined) =>
  (reader: SystemReader): SystemReader => ({
    ...reader,
    stat: (name) => {
      if (name !== path) return reader.stat(name);
      if (inode === undefined) throw new SystemError(`${path}: may hang`, 'MAY_HANG');
      const stat = reader.stat('/etc/fstab');
      assert.ok(stat);
      return { ...stat, inode };
    },
  });
for (const [title, allow, inode, status] of [
  ['a permitted directory', '/opt /dev/shm', 1000, 'pass'],
  ['a permitted file', '/dev/shm/x', 1000, 'pass'],
  ['a file system that may hang', '/dev/shm/x', undefined, 'pass'],
  ['another file has the path', '/dev/shm/x', 1001, 'warn'],
  ['another file is permitted', '/dev/shm/y', 1000, 'warn'],
] as const) {
  reading(`FOREIGN_PROGRAMS_ALLOW: ${title}`, async () => {
    const change = all(fromShm, config(`FOREIGN_PROGRAMS_ALLOW=${allow}`));
    assert.is((await findingOf(id, change, { as: withInode('/dev/shm/x', inode) })).status, status);
  });
}
reading('in maintenance mode and with FOREIGN_PROGRAMS=off, no process is read', async () => {
  const off = goodGuest();
  off.files['etc/immutafs/immutafs.conf'] = 'FOREIGN_PROGRAMS=off\n';
  for (const guest of [maintenanceGuest(), off]) {
    await withGuest(guest, async (reader) => {
      let lists = 0;
      const list = () => (lists++, reader.processes.list());
      const report = await evaluateGuest({ ...reader, processes: { ...reader.processes, list } });
      assert.is(lists, 0);
      assert.is(report.programs, null);
    });
  }
});
reading('the report lists the program', async () => {
  const guest = goodGuest();
  fromShm(guest);
  guest.files['proc/7/cmdline'] = '/dev/shm/x\0-a\0';
  guest.files['proc/7/stat'] = stat(100);
  const { programs } = await evaluateFixture(guest);
  assert.equal(programs, {
    count: 1,
    list: [
      {
        pid: 7,
        path: '/dev/shm/x',
        role: 'executable',
        why: 'memory',
        reason: 'in memory, tmpfs at /dev/shm',
        otherFiles: 0,
        user: '0',
        unit: 'a.service',
        command: '/dev/shm/x -a',
        startedAt: '2026-03-04T05:04:28.089Z',
      },
    ],
  });
});
reading.run();
