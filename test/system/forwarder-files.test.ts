/** Files that the user immutafs-forward can put in the place of its own files, which root reads. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { forwarderDirectory } from '../harness/forwarder-namespace.ts';
import { inNamespace, reportOf, said } from '../harness/namespace.ts';

const reading = suite("the forwarder's files, read by root");

const counts = 'acknowledged repeated lost corrupt refused cut suppressed'
  .split(' ')
  .map((name) => `"${name}": 0`);
const now = new Date().toISOString();
const state = `{"target": "relp://log:2514", "state": "stopped", "since": "${now}", "at": "${now}", "pid": 1,
  "lastAckAt": null, "lag": {"entries": 0, "seconds": 0}, "error": "a reason", "counts": {${counts.join(', ')}}}`;
const put = `printf '%s' '${state}' >/mnt/good; chmod 644 /mnt/good; as $forwarder cp /mnt/good $state`;

reading('a good file is read', () => {
  const ran = inNamespace(`${forwarderDirectory()} ${put}; "$@" status --json`);
  assert.match(
    said(reportOf(ran), 'forward-healthy'),
    /^(warn|fail): the forwarder is not running: a reason$/,
  );
});

for (const [title, script, problem] of [
  [
    'a symbolic link to a FIFO',
    'mkfifo -m 666 /mnt/fifo; wait_at /mnt/fifo; as $forwarder ln -s /mnt/fifo $state',
    'a symbolic link, not a regular file',
  ],
  ['a FIFO', 'as $forwarder mkfifo -m 666 $state; wait_at $state', 'a FIFO, not a regular file'],
  [
    'a symbolic link to a good file',
    `${put}; as $forwarder mv $state $state.other; as $forwarder ln -s $state.other $state`,
    'a symbolic link, not a regular file',
  ],
  ['a directory', 'as $forwarder mkdir $state', 'a directory, not a regular file'],
  [
    'a file of a third user',
    `${put}; chown 4343 $state`,
    'owned by user 4343, must be owned by root or by the owner of its directory \\(user 4242\\)',
  ],
  [
    'another name of a file of root',
    'echo secret >/run/secret; ln /run/secret $state',
    'has 2 names \\(hard links\\), must have one',
  ],
  [
    'a file that is too large',
    'as $forwarder dd if=/dev/zero of=$state bs=300000 count=1 status=none',
    'larger than 262144 bytes',
  ],
] as const) {
  reading(`${title} is reported as an error, and nothing is opened`, () => {
    const ran = inNamespace(
      `${forwarderDirectory()} ${script}; "$@" status --json || :; sleep 0.1; [ ! -e /mnt/opened ] || echo opened`,
    );
    assert.match(
      said(reportOf({ ...ran, stdout: ran.stdout.replace(/opened\n$/, '') }), 'forward-healthy'),
      new RegExp(`^error: /run/immutafs/forward/state\\.json: ${problem}$`),
    );
    assert.not.match(ran.stdout, /opened\n$/);
  });
}

for (const [title, script] of [
  ['a symbolic link to a device', 'mknod -m 666 /mnt/zero c 1 5; as $forwarder ln -s /mnt/zero $state'],
  ['a device', 'mknod -m 666 $state c 1 5'],
] as const) {
  reading(`${title} is never opened`, () => {
    const trace = 'strace -f -y -e trace=open,openat,openat2 -o /mnt/trace';
    const ran = inNamespace(
      `${forwarderDirectory()} ${script}; ${trace} "$@" status --json || :; grep '<char 1:5>' /mnt/trace | grep -vc O_PATH | sed 's/^/opened /'`,
    );
    const report = reportOf({ ...ran, stdout: ran.stdout.replace(/opened \d+\n$/, '') });
    assert.match(said(report, 'forward-healthy'), 'not a regular file');
    assert.match(ran.stdout, /opened 0\n$/);
  });
}

reading('a file that alternates with a link to a FIFO is either read completely or rejected', () => {
  const program = `
import fs from 'node:fs';
import { systemReader } from '/media/agent/system/reader.ts';
const seen = new Map();
for (let tries = 0; tries < 4000; tries++) {
  let answer;
  try { answer = systemReader().readRecord('/run/immutafs/forward/state.json', 'directory', 65536); } catch (error) { answer = error.message; }
  seen.set(answer, (seen.get(answer) ?? 0) + 1);
}
process.stdout.write(JSON.stringify({ opened: fs.existsSync('/mnt/opened'), seen: [...seen.keys()] }));
`;
  const ran = inNamespace(`${forwarderDirectory()}
mkfifo -m 666 /mnt/fifo; wait_at /mnt/fifo
as $forwarder /usr/bin/python3 /media/test/harness/swap.py $state /mnt/fifo & swap=$!
trap 'kill $writer $swap' EXIT
while [ ! -e $state ]; do sleep 0.05; done
"$1" "$2" --input-type=module -e '${program.replaceAll("'", `'\\''`)}'`);
  const { opened, seen } = JSON.parse(ran.stdout) as { opened: boolean; seen: string[] };
  assert.is(opened, false, ran.stderr);
  assert.equal(seen.sort(), [
    '/run/immutafs/forward/state.json: a symbolic link, not a regular file',
    'good\n',
  ]);
});

reading("the forwarder, run by root, does not write through links of its directory's owner", () => {
  const ran = inNamespace(`${forwarderDirectory()} echo mine >/mnt/victim
as $forwarder ln -s /mnt/victim $state; as $forwarder ln -s /mnt/victim /run/immutafs/forward/cursor
"$1" "$2" --input-type=module -e '
import { systemReader } from "/media/agent/system/reader.ts";
import { systemWriter } from "/media/agent/system/writer.ts";
import { CheckpointStore, readStart } from "/media/agent/forward/pipeline/checkpoint-store.ts";
const boot = "b".repeat(32), cursor = "s=" + "a".repeat(32) + ";i=5;b=" + boot + ";m=64;t=1000;x=1";
const directory = "/run/immutafs/forward", reader = systemReader(), trouble = console.log;
const clock = { bootId: boot, monotonic: () => 100, realtime: () => 0 };
const start = readStart(reader, directory, clock, trouble);
new CheckpointStore({ reader, writer: systemWriter(), directory, bootId: boot, trouble }, start).save({ cursor, files: [] });
console.log(readStart(reader, directory, clock, trouble).cursor === cursor);
'; cat /mnt/victim`);
  const [problem, written, victim] = ran.stdout.split('\n');
  assert.match(problem ?? '', 'forward/cursor: a symbolic link, not a regular file');
  assert.equal([written, victim], ['true', 'mine'], ran.stderr);
});

reading.run();
