import * as assert from 'uvu/assert';
import { suite } from 'uvu';
import { mountTable } from '../../../../../agent/facts/mounts/mountinfo.ts';
import {
  findForeignPrograms,
  findSealedDevices,
} from '../../../../../agent/facts/security/programs/foreign-programs.ts';
import { type SystemReader, systemReader } from '../../../../../agent/system/reader.ts';
import type { BlockDevice } from '../../../../../agent/facts/disks/block-devices.ts';
import { findExecutableMappings as find } from '../../../../../agent/facts/security/programs/mappings.ts';
import {
  processDescriber,
  startTicks,
  unitOf,
} from '../../../../../agent/facts/security/programs/process-details.ts';
import { whileTemporaryDirectory, writeFiles } from '../../../../harness/temporary.ts';

const programs = suite('foreign programs');
const { pid } = process;
const executable = '/nonexistent/program';

for (const [what, link, thread, paths] of [
  ['has exited', undefined, undefined, []],
  ['is still there', executable, pid, [executable]],
  ['has exited except for its other threads', undefined, pid + 1, [executable]],
] as const) {
  programs(`a process of whose executable nothing was mapped, which ${what}`, async () => {
    const real = systemReader();
    const reader: SystemReader = {
      ...real,
      processes: {
        ...real.processes,
        list: () => [pid],
        mappedFiles: () =>
          Promise.resolve({
            groups: [{ executable, mapped: [], pids: [pid] }],
            ...{ addresses: new Map(), unreadable: new Map(), rest: [], memory: new Set() },
          }),
        link: (_, name) => (name === 'exe' ? link : 'mnt:[1]'),
        statOf: () => undefined,
        threadWithMemory: () => thread,
      },
    };
    const mounts = mountTable(reader.read('/proc/self/mountinfo'));
    const { list } = await findForeignPrograms(reader, mounts, { sealed: new Set(), allowed: [] });
    assert.equal(
      list.map(({ path }) => path),
      paths,
    );
  });
}

const maps = (path: string) => `1000-2000 r-xp 00000000 00:63 5   ${path}\n`;

/**
 * Searches without read-mappings for the programs of two processes. The first has another thread with memory, or none.
 * @param files the files of the threads
 */
async function searchThreads(
  files: Record<string, string>,
  { silent = {}, busyFor = 0 }: { silent?: Record<number, string>; busyFor?: number } = {},
) {
  const real = systemReader();
  const reader: SystemReader = {
    ...real,
    processes: {
      ...real.processes,
      list: () => [1, 7],
      mappedFiles: () => Promise.resolve(undefined),
      silent: (pids) =>
        Promise.resolve(
          new Map(pids.flatMap((each) => (each in silent ? [[each, silent[each] ?? '']] : []))),
        ),
      threadWithMemory: (each, verifyTime) => {
        if (each === 1) return 1;
        const until = performance.now() + busyFor;
        do verifyTime();
        while (performance.now() < until);
        return 9;
      },
      read: (thread, name) => files[`${thread}/${name}`],
      link: (thread, name) => (name === 'exe' ? files[`${thread}/exe`] : undefined),
    },
  };
  const mounts = mountTable(reader.read('/proc/self/mountinfo'));
  const found = await findForeignPrograms(reader, mounts, { sealed: new Set(['0:98']), allowed: [] });
  return {
    list: found.list.map(({ pid: each, path, role }) => [each, path, role]),
    examined: found.examined,
    unexamined: found.unexamined,
  };
}

const init = { '1/maps': '1000-2000 r-xp 00000000 00:62 5   /sbin/init\n', '1/exe': '/sbin/init' };
const thread9 = { '9/maps': maps('/dev/shm/x'), '9/exe': '/dev/shm/x' };

programs('a process whose first thread has exited: executable and mappings of another thread', async () => {
  assert.equal(await searchThreads({ ...init, ...thread9 }), {
    list: [[7, '/dev/shm/x', 'executable']],
    ...{ examined: 2, unexamined: [] },
  });
});

for (const [title, files, options, reason] of [
  ['of which the memory of a thread is locked', thread9, { silent: { 9: 'maps hangs' } }, /^maps hangs$/],
  ['whose threads exit before maps is read', { '9/exe': '/dev/shm/x' }, {}, /threads exited/],
  ['whose threads exit before exe is read', { '9/maps': maps('/dev/shm/x') }, {}, /threads exited/],
  ['with too many threads', thread9, { busyFor: 3100 }, /no time left/],
] as const) {
  programs(`a process ${title} was not examined`, async () => {
    const { list, examined, unexamined } = await searchThreads({ ...init, ...files }, options);
    assert.equal([list, examined, unexamined.map((each) => each.pid)], [[], 1, [7]]);
    assert.match(unexamined[0]?.reason ?? '', reason);
  });
}

programs.run();

const blockDevice = (name: string, number: string, hostReadOnly: boolean | null): BlockDevice => ({
  name,
  device: number,
  file: `/dev/${name}`,
  stack: [name],
  disks: [],
  serials: [],
  hostReadOnly,
  tags: [],
  content: '',
  volumeGroup: undefined,
  partition: undefined,
});
const sealed = suite('devices of sealed disks');
sealed('only those of which the host made every disk read-only, even if nothing is mounted', () => {
  const devices = [
    blockDevice('vda1', '252:1', true),
    blockDevice('vdb', '252:16', false),
    blockDevice('sda', '8:0', null),
  ];
  assert.equal([...findSealedDevices(devices)], ['252:1']);
});
sealed.run();

const mappings = suite('executable mappings');

mappings(
  'device, inode and path of each executable mapping of a file, and addresses of those on device 0',
  () => {
    const found = find(
      [
        '00400000-00407000 r-xp 00000000 fd:00 1234                               /usr/bin/sleep',
        '00606000-00607000 r--p 00006000 fd:00 1234                               /usr/bin/sleep',
        '00010000-00011000 rwxs 00000000 00:1a 99                         /dev/shm/a b\\012c',
        '7f0000002000-7f0000003000 --xp 00000000 103:1000ff 7                     /memfd:x (deleted)',
        '7f0000004000-7f0000005000 rw-p 00000000 00:1a 98                         /dev/shm/data',
        '7f0000006000-7f0000007000 --xp 00000000 00:01 97                         /memfd:x (deleted)',
        '',
      ].join('\n'),
    );
    assert.equal(found, {
      mapped: [
        { device: '253:0', inode: 1234, path: '/usr/bin/sleep' },
        { device: '0:26', inode: 99, path: '/dev/shm/a b\nc' },
        { device: '259:1048831', inode: 7, path: '/memfd:x (deleted)' },
        { device: '0:1', inode: 97, path: '/memfd:x (deleted)' },
      ],
      addresses: '10000-11000 7f0000006000-7f0000007000',
    });
  },
);

mappings('anonymous memory, vdso and vsyscall are left out', () => {
  const maps = [
    '7ff2000-7ff3000 rwxp 00000000 00:00 0 ',
    '7ff4000-7ff5000 r-xp 00000000 00:00 0                                  [vdso]',
    'ffffffffff600000-ffffffffff601000 r-xp 00000000 00:00 0                  [vsyscall]',
    '',
  ].join('\n');
  assert.equal(find(maps).mapped, []);
});

mappings('a file system whose device has the number 0 of a file, such as FUSE, is not left out', () => {
  assert.is(find('1000-2000 r-xp 00000000 00:2f 0     /mnt/x\n').mapped.length, 1);
});

mappings('a permission in the name of a file is not taken for one, and hides no other line', () => {
  const evil = '1000-2000 r--p 00000000 00:1a 5     /dev/shm/r-xp 00000000 fd:00 1 /usr/bin/x';
  const real = '3000-4000 r-xp 00000000 00:1a 6     /dev/shm/xp xs real';
  assert.equal(
    find(`${evil}\n${real}\n`).mapped.map(({ path }) => path),
    ['/dev/shm/xp xs real'],
  );
});

mappings(
  'a file is listed once; another file with the same path, and the same file deleted, are others',
  () => {
    const line = (device: string, path: string) => `1000-2000 r-xp 00002000 ${device} 9   ${path}\n`;
    const same = line('fd:00', '/usr/lib/a.so');
    const others = line('00:1a', '/usr/lib/a.so') + line('fd:00', '/usr/lib/a.so (deleted)');
    assert.is(find(same + same + others).mapped.length, 3);
  },
);

mappings('a malformed line is an error, never a file that is left out', () => {
  assert.throws(() => find('1000-2000 r-xp nonsense\n'), /malformed/);
});

mappings('a last line without a newline', () => {
  assert.is(find('1000-2000 r-xp 00000000 00:1a 5 /dev/shm/x').mapped.length, 1);
});

mappings.run();

const units = suite('unit of a process');
for (const [cgroup, unit] of [
  ['0::/system.slice/sshd.service\n', 'sshd.service'],
  ['0::/user.slice/user-1000.slice/session-3.scope\n', 'session-3.scope'],
  ['0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.service\n', 'a.service'],
  ['0::/system.slice/podman.service/libpod/child\n', 'podman.service'],
  ['0::/\n', ''],
  ['', ''],
  // cgroup v1, as on RHEL 7; and both at once.
  [
    '11:cpu,cpuacct:/\n3:devices:/system.slice/b.service\n1:name=systemd:/system.slice/a.service\n',
    'a.service',
  ],
  ['1:name=systemd:/system.slice/a.service\n0::/system.slice/b.service\n', 'a.service'],
  ['9:name=systemd:/\n0::/system.slice/a.service\n', 'a.service'],
  ['0::/system.slice/x:y.service\n', 'x:y.service'],
  ['0::/system.slice/\xff.service\n', '\\xff.service'],
] as const) {
  units(JSON.stringify(cgroup), () => assert.is(unitOf(cgroup), unit));
}
units.run();

const times = suite('start time');
const fields = '0 S 1 1 1 0 -1 4194560 1 1 0 0 0 0 0 0 20 0 1 0 4321 1 1 1';
times('a name with spaces and parentheses', () => {
  assert.is(startTicks(`7 (a) b) ${fields.slice(2)}`), 4321);
  assert.is(startTicks(''), undefined);
});
times.run();

const details = suite('details of a process');
const table = (options: string) =>
  mountTable(`1 0 253:0 / / ro - xfs /dev/vda ro\n2 1 0:3 / /proc rw - proc proc ${options}\n`);
const files = {
  'etc/passwd':
    'root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\ntwin:x:1000:1::/:/bin/sh\n',
  'proc/7/status': 'Name:\ta\nUid:\t0\t1000\t0\t0\n',
  'proc/7/stat': `7 (a) ${fields.slice(2)}\n`,
  'proc/7/cgroup': '0::/system.slice/a.service\n',
  'proc/7/cmdline': '/x\0--name=b\nc\0\x1b[31m\0',
  'proc/7/comm': 'x\n',
  'proc/8/cmdline': `/y\0${'z'.repeat(1000)}\0`,
  'proc/9/comm': 'no command line\n',
};
function describe(options: string, pid: number) {
  return whileTemporaryDirectory(async (root) => {
    writeFiles(root, files);
    const reader = {
      ...systemReader({ root }),
      environment: () => ({ hostname: '', kernel: '', uid: 0, seconds: 100 }),
      now: () => new Date('2026-03-04T05:06:07.000Z'),
    };
    return (await processDescriber(reader, table(options), [pid]))(pid);
  });
}
details('user, unit, command line and start time', async () => {
  assert.equal(await describe('rw', 7), {
    user: 'alice',
    unit: 'a.service',
    command: '/x --name=b\nc \x1b[31m',
    startedAt: '2026-03-04T05:05:10.210Z',
  });
});
details('a long command line is shortened; without one, the name', async () => {
  assert.is((await describe('rw', 8)).command.length, 257);
  assert.is((await describe('rw', 9)).command, '[no command line]');
});
for (const option of ['hidepid=2', 'hidepid=invisible', 'hidepid=1,gid=5']) {
  details(`${option} on /proc: no command line, because every user may read the report`, async () => {
    assert.is((await describe(`rw,${option}`, 7)).command, '[x]');
  });
}
details('hidepid=0 hides nothing', async () =>
  assert.is((await describe('rw,hidepid=0', 7)).command, '/x --name=b\nc \x1b[31m'),
);
details('a process that has exited', async () => {
  assert.equal(await describe('rw', 10), { user: '', unit: '', command: '', startedAt: null });
});
details.run();
