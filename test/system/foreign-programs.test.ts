/** Finds foreign programs in a real PID namespace (search-namespace.ts). */
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ForeignPrograms } from '../../agent/facts/security/programs/foreign-programs.ts';
import { buildProgram } from '../../packaging/build/small-programs.ts';
import { node, repository } from '../harness/repository.ts';
import { found, search, searchAfter, searchIn, ways } from '../harness/search-namespace.ts';

/** Executes a copy of sleep in a file without a name. 319 is memfd_create(2) on x86-64. */
const memfd = `perl -e 'my $n = "hidden"; my $fd = syscall(319, $n, 0); open(my $o, ">&=", $fd) or die;
  open(my $i, "<", "/usr/bin/sleep") or die; local $/; print {$o} <$i>; $o->flush; exec "/proc/self/fd/$fd", "60"'`;

const harness = path.join(repository, 'test/harness');
/** Starts a program from a tmpfs, of which nothing is mapped any more, and whose first threads are zombies. */
const zombies = (count: number) => `
gcc -static -O1 -fcf-protection=none -o /mnt/memory/exit-threads ${harness}/exit-threads.c
mkfifo /mnt/exited
/usr/bin/python3 ${harness}/trace-threads.py /mnt/memory/exit-threads ${count} >/mnt/exited &
read -r pid </mnt/exited
! [ -s "/proc/$pid/maps" ] || exit 1`;

const programs = suite('foreign programs in a namespace');
programs.before(() => buildProgram('read-mappings'));

for (const [title, script, expected] of [
  ['programs of this machine', 'sleep 60 & perl -e "sleep 60" &', []],
  ['the agent itself', ':', []],
  ['a program of this machine in a private mount namespace', 'unshare --mount sleep 60 &', []],
  [
    'a copy in a tmpfs',
    'cp /usr/bin/sleep /mnt/memory/copy; /mnt/memory/copy 60 &',
    [['/mnt/memory/copy', 'executable', 'memory']],
  ],
  [
    'a deleted copy',
    'cp /usr/bin/sleep /mnt/memory/copy; /mnt/memory/copy 60 & sleep 0.3; rm /mnt/memory/copy',
    [['/mnt/memory/copy (deleted)', 'executable', 'deleted']],
  ],
  [
    'a deleted program that started before all others, on a file system that no path leads to',
    "unshare --mount sh -c 'mount -t tmpfs x /mnt/memory; cp /usr/bin/sleep /mnt/memory/copy; (sleep 0.3; rm /mnt/memory/copy) & exec /mnt/memory/copy 60' &",
    [['/mnt/memory/copy (deleted)', 'executable', 'deleted']],
  ],
  ['a memfd', `${memfd} &`, [['/memfd:hidden (deleted)', 'executable', 'memfd']]],
  [
    'a tmpfs in a private mount namespace, over the path of a real program',
    "unshare --mount sh -c 'cp /usr/bin/sleep /mnt/memory/sleep; mount -t tmpfs x /usr/games; cp /mnt/memory/sleep /usr/games/sleep; exec /usr/games/sleep 60' &",
    [['/usr/games/sleep', 'executable', 'other-namespace']],
  ],
  [
    'a library that is preloaded from a tmpfs',
    'cp "$(ldconfig -p | sed -n "s/.*libz.so.1 .*=> //p" | head -n 1)" /mnt/memory/x.so; LD_PRELOAD=/mnt/memory/x.so sleep 60 &',
    [['/mnt/memory/x.so', 'mapping', 'memory']],
  ],
  ['the lower layer of an overlay', '/mnt/merged/sleep 60 &', []],
  [
    'a file of the lower layer that was copied to the upper layer',
    'touch /mnt/merged/sleep; /mnt/merged/sleep 60 &',
    [['/mnt/merged/sleep', 'executable', 'memory']],
  ],
  [
    'a new file of an overlay',
    'cp /usr/bin/sleep /mnt/merged/new; /mnt/merged/new 60 &',
    [['/mnt/merged/new', 'executable', 'memory']],
  ],
  [
    'a new file of an overlay with the path of a file in the lower layer, in a private mount namespace',
    "mkdir /mnt/merged/evil; cp /usr/bin/sleep /mnt/merged/evil/nohup; unshare --mount sh -c 'mount --bind /mnt/merged/evil /mnt/merged; exec /mnt/merged/nohup 60' &",
    [['/mnt/merged/nohup', 'executable', 'memory']],
  ],
  [
    'names with a newline, an escape sequence and bytes that are not UTF-8',
    'name=$(printf "/mnt/memory/a\\nb\\033[31m\\377"); cp /usr/bin/sleep "$name"; "$name" 60 &',
    [['/mnt/memory/a\nb\x1b[31m\\xff', 'executable', 'memory']],
  ],
  [
    'a process whose first thread has exited',
    'cp /usr/bin/python3 /mnt/memory/python; /mnt/memory/python -c "import ctypes,threading,time; threading.Thread(target=time.sleep, args=(60,)).start(); ctypes.CDLL(None).syscall(60, 0)" &',
    [['/mnt/memory/python', 'executable', 'memory']],
  ],
  [
    'a program of this machine whose first thread has exited',
    '/usr/bin/python3 -c "import ctypes,threading,time; threading.Thread(target=time.sleep, args=(60,)).start(); ctypes.CDLL(None).syscall(60, 0)" &',
    [],
  ],
  [
    'a program that is not mapped, and whose first thread has exited',
    zombies(0),
    [['/mnt/memory/exit-threads', 'executable', 'memory']],
  ],
  [
    'a program that is not mapped, of whose threads only the last is no zombie',
    zombies(40),
    [['/mnt/memory/exit-threads', 'executable', 'memory']],
  ],
  [
    'processes that exit meanwhile',
    'for i in 1 2 3 4 5 6 7 8 9; do (while :; do /bin/true; done) & done',
    [],
  ],
] as const) {
  programs(title, () => assert.equal(found(script), expected));
}

programs('a permitted path, and a permitted path at which another file is now', () => {
  const start = 'cp /usr/bin/sleep /mnt/memory/copy; /mnt/memory/copy 60 & sleep 0.3;';
  assert.equal(found(start, '/mnt/memory'), []);
  assert.is(
    found(`${start} mv /mnt/memory/copy /mnt/x; cp /usr/bin/sleep /mnt/memory/copy`, '/mnt/memory').length,
    1,
  );
});

programs('the first of many programs are listed, and all are counted', () => {
  const { count, list } = searchAfter(
    'cp /usr/bin/sleep /mnt/memory/copy; for i in $(seq 150); do /mnt/memory/copy 60 & done',
  );
  assert.equal([count, list.length], [150, 100]);
});

programs('user, command line and start time', () => {
  const [program] = searchAfter(
    'chmod 755 /mnt; cp /usr/bin/sleep /mnt/memory/copy; setpriv --reuid=65534 --clear-groups /mnt/memory/copy 60 &',
  ).list;
  assert.is(program?.user, 'nobody');
  assert.is(program?.command, '/mnt/memory/copy 60');
  assert.ok(Math.abs(Date.parse(program?.startedAt ?? '') - Date.now()) < 30_000, program?.startedAt ?? '');
});

programs('with hidepid, another user does not see PID 1, which is no pass', () => {
  const { unexamined } = searchAfter(
    `mount -o remount,hidepid=2 /proc; setpriv --reuid=65534 --clear-groups ${node} ${search} ''; exit`,
  );
  assert.ok(
    unexamined.some(({ pid }) => pid === 1),
    JSON.stringify(unexamined),
  );
});

/** Mounts a file system with a file whose content is never delivered. Its users end with its server. */
const hang = `
mkdir /mnt/hang
python3 ${path.join(repository, 'test/harness/hanging-file.py')} /mnt/hang & server=$!
trap 'kill -9 $server' EXIT
while ! grep -q ' /mnt/hang ' /proc/self/mountinfo; do sleep 0.05; done
`;
/** Starts a process of which nothing can be read in /proc, with the memory of a program in a tmpfs. $silent is its PID. */
const silent = `${hang}
gcc -o /mnt/memory/hold-memory ${path.join(repository, 'test/harness/hold-memory.c')}
/mnt/memory/hold-memory /mnt/hang/file /usr/bin/sleep & silent=$!
sleep 3
! timeout -s KILL 1 cat /proc/$silent/maps >/dev/null 2>&1
`;

programs('a process whose memory is locked does not block the search, and is no pass', () => {
  const began = Date.now();
  const [{ list, unexamined }] = searchIn(
    ways.slice(0, 1),
    `${silent} cp /usr/bin/sleep /mnt/memory/copy; /mnt/memory/copy 60 &`,
  ) as [ForeignPrograms];
  // Before Linux 6.17, the same is true for the child that holds the lock.
  assert.equal(
    [...new Set(unexamined.map(({ reason }) => reason))],
    ['maps could not be read within 2000 ms'],
  );
  assert.ok(
    list.some(({ path: file }) => file === '/mnt/memory/copy'),
    JSON.stringify(list),
  );
  assert.ok(Date.now() - began < 30_000);
});

programs('a program whose arguments are in memory that is never delivered is named without them', () => {
  const { list } = searchAfter(`
gcc -o /mnt/memory/arguments -x c - <<'C'
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>
int main(int argc, char **argv) {
  int file = open(argv[1], O_RDONLY);
  void *page = (void *)((uintptr_t)argv[0] & ~(uintptr_t)4095);
  (void)argc;
  /* The arguments are on the last page of the stack, which nothing uses any more. */
  if (file < 0 || mmap(page, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 0) == MAP_FAILED) return 1;
  for (;;) pause();
}
C
${hang}
/mnt/memory/arguments /mnt/hang/file & hanging=$!
sleep 1
! timeout -s KILL 1 cat /proc/$hanging/cmdline >/dev/null 2>&1`);
  assert.equal(
    list.map(({ path: file, command }) => [file, command]),
    [['/mnt/memory/arguments', '[arguments]']],
  );
});

programs.run();
