/**
 * Tells files with the names of anonymous memory from anonymous memory itself, in a real PID namespace
 * (search-namespace.ts).
 */
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { buildProgram } from '../../packaging/build/small-programs.ts';
import { repository } from '../harness/repository.ts';
import { found, searchIn, ways } from '../harness/search-namespace.ts';

const harness = path.join(repository, 'test/harness');
/** Starts map-files.py, and waits until it has mapped everything. */
const map = `map() { mkfifo /mnt/ready; "\${python:-/usr/bin/python3}" ${harness}/map-files.py "$@" >/mnt/ready & read -r _ </mnt/ready; rm /mnt/ready; }; map`;
/** Runs a script in the namespaces that any user can create. */
const asUser = (script: string) =>
  `setpriv --reuid=65534 --regid=65534 --clear-groups unshare --user --map-root-user --mount sh -c '${script}' &`;
const onDev = (program: string) =>
  asUser(
    `mount -t tmpfs x /dev; touch /dev/null; cp ${program} /dev/zero; /dev/zero 60 & sleep 0.3; rm /dev/zero; wait`,
  );

const memory = suite('anonymous memory');
memory.before(() => buildProgram('read-mappings'));

for (const [title, script, expected] of [
  [
    'a deleted program of an unprivileged user with the name of shared memory',
    onDev('/usr/bin/sleep'),
    [['/dev/zero (deleted)', 'executable', 'deleted']],
  ],
  [
    'a deleted program with the name of huge pages, in the root directory of a mount namespace',
    `unshare --mount sh -c 'cd /mnt/memory; mount -t tmpfs x .; cd /mnt/memory; cp /usr/bin/sleep anon_hugepage; mkdir usr old dev; touch dev/null; mount --rbind /usr usr; ln -s usr/bin usr/lib usr/lib64 .; pivot_root . old; /anon_hugepage 60 & sleep 0.3; rm /anon_hugepage; wait' &`,
    [['/anon_hugepage (deleted)', 'executable', 'deleted']],
  ],
  [
    'the same program, which has left its file for genuine shared memory',
    `gcc -static -O1 -fcf-protection=none -o /mnt/memory/leave ${harness}/leave-program.c; chmod 755 /mnt /mnt/memory
    ${onDev('/mnt/memory/leave')}`,
    [['/dev/zero (deleted)', 'executable', 'deleted']],
  ],
  [
    'a memfd and a segment of System V, on the same device as shared memory',
    `${map} memfd:zero; map "memfd:/dev/zero (deleted)"; map sysv`,
    [
      ['/memfd:zero (deleted)', 'mapping', 'memfd'],
      ['/memfd:/dev/zero (deleted) (deleted)', 'mapping', 'memfd'],
      ['/SYSV00000000 (deleted)', 'mapping', 'deleted'],
    ],
  ],
] as const) {
  memory(title, () => assert.equal(found(script), expected));
}

memory('shared memory that root has executed is a program', () => {
  const [first] = searchIn(
    ways.slice(0, 1),
    `/usr/bin/python3 - <<'PYTHON' &
import mmap, os, re
program = open("/usr/bin/sleep", "rb").read()
shared = mmap.mmap(-1, len(program))
shared.write(program)
[line] = [line for line in open("/proc/self/maps") if "/dev/zero" in line]
os.execv("/proc/self/map_files/" + line.split()[0], ["sleep", "60"])
PYTHON
    while [ "$(readlink /proc/$!/exe)" != '/dev/zero (deleted)' ]; do sleep 0.05; done`,
  );
  assert.equal(
    first?.list.map(({ path: file, role, why }) => [file, role, why]),
    [['/dev/zero (deleted)', 'executable', 'deleted']],
  );
});

memory('genuine shared memory and huge pages are no files; without read-mappings, this is unknown', () => {
  const results = searchIn(ways, `${map} zero anonymous; map huge`);
  assert.equal(
    results.map(({ list }) => list.map(({ path: file, role, otherFiles }) => [file, role, otherFiles])),
    [
      [],
      [],
      [
        ['/dev/zero (deleted)', 'mapping', 1],
        ['/anon_hugepage (deleted)', 'mapping', 0],
      ],
    ],
  );
});

memory('an unlinked file, as libffi maps it for its closures, which no item permits', () => {
  const expected = [['/mnt/memory/ffi000000 (deleted)', 'mapping', 'deleted']];
  for (const allowed of ['', '/mnt/memory']) {
    assert.equal(found(`${map} unlinked:/mnt/memory`, allowed), expected);
  }
});

memory.run();
