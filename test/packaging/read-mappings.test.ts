/** Tests the program read-mappings with real processes, with and without PROCMAP_QUERY, and with files of another form. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type MappedFiles, findMappedFiles, parseMappings } from '../../agent/system/mapped-files.ts';
import { dist, inRoot } from '../../packaging/build/paths.ts';
import { buildProgram } from '../../packaging/build/small-programs.ts';
import { whileTemporaryDirectory } from '../harness/temporary.ts';

const program = path.join(dist, 'read-mappings');
const deny = `/usr/bin/python3 ${inRoot('test/harness/deny-call.py')}`;
const [major = 0, minor = 0] = os.release().split('.').map(Number);
const hasQuery = major > 6 || (major === 6 && minor >= 11);

/** Defines `start KIND…`, which starts map-files.py, and waits until it has mapped everything. */
const start = `
mount -t tmpfs memory /mnt
start() {
  mkfifo /mnt/.ready
  "$@" >/mnt/.ready & started="$started $!"
  read -r answer </mnt/.ready; rm /mnt/.ready; [ "$answer" = mapped ]
}
map="/usr/bin/python3 ${inRoot('test/harness/map-files.py')}"`;

/**
 * Runs a script as PID 1 of a namespace, then read-mappings for the processes that it started: with PROCMAP_QUERY,
 * without it, and without reading maps. @returns the outputs
 */
function outputs(script: string): { query: string; text: string; queryOnly: string } {
  const lines = `set -e; ${start}
${script}
cd /proc
for way in '' '${deny} ioctl' '${deny} read'; do $way ${program} $started; printf '\\1'; done`;
  const { stdout, stderr, status } = spawnSync(
    'unshare',
    [
      ...['--mount', '--propagation', 'private', '--ipc', '--pid', '--fork', '--mount-proc', '--kill-child'],
      ...['sh', '-c', lines],
    ],
    { encoding: 'latin1', timeout: 60_000, maxBuffer: 64 * 1024 * 1024 },
  );
  assert.is(status, 0, stderr);
  const [query = '', text = '', queryOnly = ''] = stdout.split('\x01');
  return { query, text, queryOnly };
}

/** Whether a file is one of those that the script created or map-files.py maps. */
const isOfTest = (file: string) => /^\/(mnt|dev|memfd|SYSV|anon)/.test(file);

/** Returns the paths that each process has mapped, in ascending order of the processes. */
function pathsOf({ groups }: MappedFiles): string[][] {
  return groups
    .flatMap(({ pids, mapped }) => pids.map((pid) => ({ pid, mapped })))
    .sort((one, other) => one.pid - other.pid)
    .map(({ mapped }) => mapped.flatMap(({ path: file }) => (isOfTest(file) ? file : [])).sort());
}

/** Asserts that both ways have the same result, and that each of them was used. @returns the result */
function foundAfter(script: string): MappedFiles {
  const { query, text, queryOnly } = outputs(script);
  assert.is(text, query);
  const found = parseMappings(query);
  assert.ok(found, query);
  // The devices of memory are always read.
  if (hasQuery) assert.is(queryOnly, query.replace(/m [^e]*(?=e\0$)/, ''));
  else assert.equal([...(parseMappings(queryOnly)?.unreadable.values() ?? [])], ['maps or exe: EIO']);
  return found;
}

const real = suite('read-mappings with real processes');
real.before(() => buildProgram('read-mappings'));

for (const [title, script, expected] of [
  [
    'several mappings of a file are one; another file with its path, and a deleted file, are others',
    'echo >/mnt/a; start $map /mnt/a /mnt/a; rm /mnt/a; echo >/mnt/a; start $map /mnt/a; start $map /mnt/a',
    [['/mnt/a (deleted)'], ['/mnt/a'], ['/mnt/a']],
  ],
  ['nothing but the program and its libraries', 'start $map', [[]]],
  [
    'shared memory',
    'start $map zero anonymous sysv',
    [['/SYSV00000000 (deleted)', '/dev/zero (deleted)', '/dev/zero (deleted)']],
  ],
  [
    'a private mount namespace, whose path shows another file here',
    `echo >/mnt/a; start unshare --mount sh -c 'mount -t tmpfs x /mnt; echo >/mnt/a; exec $* /mnt/a' sh $map`,
    [['/mnt/a']],
  ],
  [
    'names with a newline, with a backslash and 012, with both, and with bytes that are not UTF-8',
    String.raw`for n in 'a\nb' 'a\\012b' '\\012\n' 'x\377 r-xp \033'; do n=/mnt/$(printf "$n."); echo >"$n"; start $map "$n"; done`,
    [['/mnt/a\nb.'], ['/mnt/a\\012b.'], ['/mnt/\\012\n.'], ['/mnt/x\xff r-xp \x1b.']],
  ],
] as const) {
  real(title, () => assert.equal(pathsOf(foundAfter(script)), expected));
}

real('the devices of shared and huge anonymous memory; a memfd is on the same, a tmpfs on another', () => {
  const { groups, memory } = foundAfter('echo >/mnt/a; start $map zero huge memfd:x /mnt/a');
  const mapped = groups[0]?.mapped ?? [];
  const isOn = (name: string) =>
    memory.has(mapped.find(({ path: file }) => file.startsWith(name))?.device ?? '');
  assert.equal(['/dev/zero ', '/anon_hugepage ', '/memfd:x ', '/mnt/a'].map(isOn), [true, true, true, false]);
});

real('devices, inodes, executable and addresses', () => {
  const { groups, addresses, rest, unreadable } = foundAfter(
    'cp /usr/bin/python3 /mnt/python; map="/mnt/python ${map#* }"; start $map; start $map',
  );
  const [group, ...others] = groups;
  assert.ok(group);
  assert.equal([others, rest, unreadable.size], [[], [], 0]);
  assert.is(group.executable, '/mnt/python');
  assert.match(group.mapped.find(({ path: file }) => file === '/mnt/python')?.device ?? '', /^0:\d+$/);
  assert.is(group.pids.length, 2);
  for (const pid of group.pids)
    assert.match(addresses.get(pid) ?? '', /^[1-9a-f][0-9a-f]*-[1-9a-f][0-9a-f]*$/);
});

/** Creates /mnt/d with this number of files, whose paths have about 250 characters for each of `depth` folders. */
const longNames = (depth: number, count: number) =>
  `n=$(printf '%0250d' 0); mkdir /mnt/d; (cd /mnt/d; for i in $(seq ${depth}); do mkdir $n; cd $n; done; for i in $(seq ${count}); do echo >${'x'.repeat(200)}$i; done)`;

real('a path that is longer than PROCMAP_QUERY can return', () => {
  const { query, text } = outputs(`${longNames(16, 2)}; start $map many:/mnt/d`);
  assert.is(text, query);
  const [paths = []] = pathsOf(parseMappings(query) as MappedFiles);
  assert.equal([paths.length, (paths[0] ?? '').length > 4096], [2, true]);
});

real(
  'files with more than 1 MiB of names: the process is examined in another way, and the others as before',
  () => {
    const { query, text } = outputs(
      `${longNames(15, 300)}; echo >/mnt/a; start $map many:/mnt/d; start $map /mnt/a`,
    );
    for (const output of [query, text]) {
      const found = parseMappings(output);
      assert.is(found?.rest.length, 1);
      assert.equal(pathsOf(found as MappedFiles), [['/mnt/a']]);
    }
  },
);

/** The output for no process: the devices of shared and huge anonymous memory. */
const onlyMemory = /^(?:m 0:\d+\0)+e\0$/;

real('a kernel thread, a zombie, and a process that does not exist have no record', () => {
  const { stdout } = spawnSync('sh', [
    '-c',
    `cd /proc; sh -c 'sleep 0 & exec sleep 1' & sleep 0.5; ${program} 2 999999999 $(pgrep -P $! sleep)`,
  ]);
  assert.match(stdout.toString(), onlyMemory);
});

real('a process of another user is unreadable, which is no pass', async () => {
  const { stdout } = spawnSync('setpriv', ['--reuid=65534', '--clear-groups', program, String(process.pid)], {
    cwd: '/proc',
  });
  assert.match(stdout.toString(), new RegExp(`^u ${process.pid} 13\\0(?:m 0:\\d+\\0)+e\\0$`));
  const own = await findMappedFiles('/proc', [process.pid], program);
  assert.ok(own?.groups[0]?.mapped.some(({ path: file }) => file === own.groups[0]?.executable));
});

for (const argument of ['', 'x', '-1', '1/2', '../1', '1234567890']) {
  real(`'${argument}' is no process`, () => {
    const { status, stdout } = spawnSync(program, ['1', argument], { cwd: '/proc' });
    assert.equal([status, stdout.includes('e\0')], [2, false]);
  });
}
real.run();

const fixtures = suite('read-mappings with files');
fixtures.before(() => buildProgram('read-mappings'));

/** Returns what read-mappings finds in this text. */
function foundIn(
  maps: string,
  change: (folder: string) => void = () => undefined,
): Promise<MappedFiles | undefined> {
  return whileTemporaryDirectory((folder) => {
    fs.mkdirSync(path.join(folder, '7'));
    fs.writeFileSync(path.join(folder, '7/maps'), maps, 'latin1');
    fs.symlinkSync('/usr/bin/a', path.join(folder, '7/exe'));
    change(folder);
    return findMappedFiles(folder, [7], program);
  });
}
const line = (permissions: string, rest: string) => `00400000-7f0000001000 ${permissions} 0000f000 ${rest}\n`;

for (const [title, threads, expected] of [
  ['no thread is left: the process has exited', ['7'], [[undefined], []]],
  ['another thread is left: the process is examined in another way', ['7', '8'], [[], [7]]],
] as const) {
  fixtures(`the executable cannot be found, and ${title}`, async () => {
    const found = await foundIn(line('r-xp', 'fd:00 5 /usr/bin/a'), (folder) => {
      fs.rmSync(path.join(folder, '7/exe'));
      for (const thread of threads) fs.mkdirSync(path.join(folder, '7/task', thread), { recursive: true });
    });
    assert.equal([found?.groups.map(({ executable }) => executable), found?.rest], expected);
  });
}

fixtures('only executable mappings of files are found, whatever the name contains', async () => {
  const found = await foundIn(
    line('r-xp', '103:1000ff 18446744073709551615                       /usr/bin/a') +
      line('r--p', 'fd:00 5   /x r-xp 00000000 fd:00 5 /y') +
      line('rwxs', '00:1a 0   /dev/shm/a\\012b (deleted)') +
      line('r-xp', '00:00 0 ') +
      line('r-xp', '00:00 0                          [vdso]'),
  );
  assert.equal(found?.groups, [
    {
      executable: '/usr/bin/a',
      mapped: [
        { device: '259:1048831', inode: 2 ** 64, path: '/usr/bin/a' },
        { device: '0:26', inode: 0, path: '/dev/shm/a\nb (deleted)' },
      ],
      pids: [7],
    },
  ]);
  assert.equal([...(found?.addresses ?? [])], [[7, '400000-7f0000001000']]);
});

for (const [title, maps] of [
  ['a malformed line', line('r-xp', 'nonsense')],
  ['a line that is cut off', line('r-xp', 'fd:00 5 /usr/bin/a') + line('r-xp', 'fd:00 5 /b').trimEnd()],
  ['a line of more than 64 KiB', line('r-xp', `fd:00 5 /${'x'.repeat(70_000)}`)],
] as const) {
  fixtures(`${title}: the process is examined in another way`, async () => {
    const found = await foundIn(maps);
    assert.equal([found?.groups, found?.rest], [[], [7]]);
  });
}

fixtures('lines that do not fit into the buffer at once', async () => {
  const found = await foundIn(
    Array.from({ length: 4000 }, (_, index) => line('r-xp', `fd:00 ${index} /usr/lib/${index}.so`)).join(''),
  );
  assert.is(found?.groups[0]?.mapped.length, 4000);
});
fixtures('a process with too many files is examined in another way', async () => {
  const found = await foundIn(
    Array.from({ length: 4097 }, (_, index) => line('r-xp', `fd:00 ${index} /a`)).join(''),
  );
  assert.equal([found?.groups, found?.rest], [[], [7]]);
});
fixtures.run();
