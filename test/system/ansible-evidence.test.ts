import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { type LocalGuest, type TaskResult, guestSuite } from '../harness/ansible-guest.ts';

/** Tests the module `evidence` and the playbook evidence.yml of the Ansible collection, with stubs for the agent. */
const evidence = guestSuite('the evidence of a guest');

/** Returns the directories that exports have left in the guest. */
const left = () => readdirSync('/run').filter((name) => name.startsWith('immutafs-evidence.'));

const summary = JSON.stringify({
  host: { name: 'guest', bootId: 'b00t' },
  ended: '2026-03-04T05:06:07.000Z',
  changes: 2,
  bytes: 10_000_000,
});
const changes = [
  { path: '/var/spool/cron/root', layer: '/var', category: 'cron', change: 'added' },
  { path: '/var/log/x', layer: '/var', change: 'added' },
  // Not those of the agent: root in the guest can send anything.
  { path: null, layer: '/var', category: 'cron', change: 'added' },
  { path: ['/a'], layer: {}, category: 5, change: 'added' },
];

/** A stub for the agent, which exports a file of 10 MB. @param after lines of sh after the export */
function agent(guest: LocalGuest, after = ''): void {
  const at = guest.file('export');
  writeFileSync(guest.file('manifest.json'), summary);
  const text = `#!/bin/sh
echo "$@" >${guest.file('arguments')}
mkdir -p ${at}/manifest ${at}/files
echo '${changes.map((change) => JSON.stringify(change)).join('\n')}' >${at}/manifest/00001.ndjson
head -c 10000000 /dev/urandom >${at}/files/x
cp ${guest.file('manifest.json')} ${at}/
tar -C ${at} -cf ${guest.file('sent')} files manifest manifest.json
cat ${guest.file('sent')}
${after}`;
  writeFileSync(guest.file('bin/immutafs-agent'), text, { mode: 0o755 });
}

const destOf = (guest: LocalGuest) => guest.file('evidence');
const fetch = (guest: LocalGuest, more: Record<string, unknown> = {}): Promise<TaskResult> =>
  guest.run({ dest: destOf(guest), ...more }, 'evidence');
const filesOf = (guest: LocalGuest) =>
  existsSync(destOf(guest)) ? readdirSync(path.join(destOf(guest), 'localhost')) : [];
/** Asserts that a task failed with this message. */
function assertFailed({ failed, msg = '' }: TaskResult, message: RegExp): void {
  assert.is(failed, true);
  assert.match(msg, message);
}

evidence(
  'it arrives byte for byte, with its checksum, and nothing is left in the guest',
  async ({ guest }) => {
    agent(guest);
    const before = left();
    const result = await fetch(guest, { max_size: '64M' });
    assert.is(result.failed, false, result.msg);
    const { file = '' } = result;
    const content = readFileSync(file);
    assert.ok(content.equals(readFileSync(guest.file('sent'))));
    const checksum = createHash('sha256').update(content).digest('hex');
    assert.is(result.sha256, checksum);
    assert.is(readFileSync(`${file}.sha256`, 'utf8'), `${checksum}  ${path.basename(file)}\n`);
    assert.equal([statSync(file).mode & 0o777, statSync(path.dirname(file)).mode & 0o777], [0o600, 0o700]);
    assert.is(readFileSync(guest.file('arguments'), 'utf8'), 'changes --export - --max-size 64M\n');
    assert.equal([result.complete, result.problems, result.boot_id], [true, [], 'b00t']);
    assert.equal(
      result.notable?.map((each) => each.path),
      ['/var/spool/cron/root'],
    );
    assert.equal(left(), before);
  },
);

evidence('an incomplete export is kept, with the problems', async ({ guest }) => {
  agent(guest, 'echo "/var/x: vanished" >&2; exit 3');
  const { failed, complete, problems } = await fetch(guest);
  assert.equal([failed, complete, problems], [false, false, ['/var/x: vanished']]);
});

for (const [title, change, message] of [
  [
    'in maintenance mode',
    (guest: LocalGuest) => agent(guest, 'echo no layer >&2; exit 4'),
    /ended with 4: no layer/,
  ],
  ['a guest without the agent', () => undefined, /ended with 127: .*not found/],
  [
    'an export without its summary',
    (guest: LocalGuest) => {
      agent(guest);
      writeFileSync(guest.file('manifest.json'), '[]');
    },
    /not send a complete export/,
  ],
  [
    'a summary that is nested deeper than Python can parse',
    (guest: LocalGuest) => {
      agent(guest);
      writeFileSync(guest.file('manifest.json'), '['.repeat(200_000));
    },
    /not send a valid export/,
  ],
  [
    'a summary with a wrong time',
    (guest: LocalGuest) => {
      agent(guest);
      writeFileSync(guest.file('manifest.json'), summary.replace('2026-03-04T', 'then '));
    },
    /not send a complete export: ended in manifest\.json is missing or wrong/,
  ],
  [
    'something that is no tar file',
    (guest: LocalGuest) =>
      writeFileSync(guest.file('bin/immutafs-agent'), '#!/bin/sh\necho hello\n', { mode: 0o755 }),
    /not send a valid export/,
  ],
] as const) {
  evidence(`${title}: an error, and no file`, async ({ guest }) => {
    const before = left();
    change(guest);
    assertFailed(await fetch(guest), message);
    assert.equal([filesOf(guest), left()], [[], before]);
  });
}

evidence('a guest that sends more than the maximum is cut off, and its export ends', async ({ guest }) => {
  writeFileSync(guest.file('bin/immutafs-agent'), '#!/bin/sh\nexec cat /dev/zero\n', { mode: 0o755 });
  const before = left();
  assertFailed(await fetch(guest, { max_size: '10M' }), /the guest sends more than 10M/);
  assert.equal([filesOf(guest), left()], [[], before]);
});

evidence('an export that does not end is given up', async ({ guest }) => {
  writeFileSync(guest.file('bin/immutafs-agent'), '#!/bin/sh\nexec sleep 60\n', { mode: 0o755 });
  assertFailed(await fetch(guest, { timeout: 3 }), /did not end in time|ended with 124/);
});

evidence('a guest whose commands do not end cannot keep the task from ending', async ({ guest }) => {
  agent(guest);
  writeFileSync(guest.file('bin/base64'), '#!/bin/sh\nexec sleep 300\n', { mode: 0o755 });
  const begin = Date.now();
  assertFailed(await fetch(guest, { timeout: 5 }), /the export did not end in time/);
  assert.ok(Date.now() - begin < 60_000, `${Date.now() - begin} ms`);
  assert.equal(filesOf(guest), []);
});

evidence('bad options', async ({ guest }) => {
  agent(guest);
  for (const [options, message] of [
    [{ dest: 'relative' }, /must be an absolute path/],
    [{ max_size: '5' }, /must be a number with K, M, G or T/],
  ] as const) {
    assertFailed(await fetch(guest, options), message);
  }
});

evidence(
  'evidence.yml: a guest that fails does not stop the others, and an earlier file stays',
  async ({ guest }) => {
    const dest = destOf(guest);
    agent(guest);
    const local = { ansible_connection: 'local', ansible_python_interpreter: '/usr/bin/python3' };
    const dead = { ansible_connection: 'ssh', ansible_host: '127.0.0.1', ansible_port: 1 };
    const inventory = guest.file('inventory.json');
    const hosts = { a: { ...dead, ansible_ssh_retries: 0 }, b: local };
    writeFileSync(inventory, JSON.stringify({ immutafs_guests: { hosts } }));
    const play = () =>
      guest.play({ immutafs_evidence_directory: dest }, ['-i', inventory, 'immutafs.agent.evidence']);
    const first = await play();
    assert.is(first.exitCode, 2, 'a guest failed');
    assert.match(first.all, /a: FAILED: Fetch the evidence: the evidence: /);
    assert.match(first.all, /b: 2 changes, 1 notable, in \S+\/b\/\d{8}T\d{6}Z\.tar/);
    const [file = ''] = readdirSync(path.join(dest, 'b'));
    const before = readFileSync(path.join(dest, 'b', file));
    await play();
    assert.is(readdirSync(path.join(dest, 'b')).length, 4);
    assert.ok(readFileSync(path.join(dest, 'b', file)).equals(before));
  },
);

/** The tasks of recycle.yml that need no hypervisor; `restart` stands for the shutdown and the start. */
const tasks = (restart: string, boot: string) => [
  { 'ansible.builtin.include_role': { name: 'immutafs.agent.evidence', tasks_from: 'require-sealed' } },
  { 'ansible.builtin.include_role': { name: 'immutafs.agent.evidence', public: true } },
  { 'ansible.builtin.include_role': { name: 'immutafs.agent.evidence', tasks_from: 'require-complete' } },
  {
    'ansible.builtin.include_role': { name: 'immutafs.agent.evidence', tasks_from: 'wait-acknowledged' },
    vars: { immutafs_backlog_since: '{{ immutafs_evidence.ended }}' },
  },
  { 'ansible.builtin.command': { argv: ['touch', restart] } },
  { 'ansible.builtin.set_fact': { immutafs_status: { json: { host: { bootId: boot } } } } },
  { 'ansible.builtin.include_role': { name: 'immutafs.agent.evidence', tasks_from: 'verify-pristine' } },
];

const forward = {
  target: 'relp://log',
  state: 'connected',
  error: '',
  lag: { entries: 0, seconds: 0 },
  sources: [],
};
const behind = { ...forward, lag: { entries: 7, seconds: 1e9 } };
const cron = JSON.stringify({ path: '/var/spool/cron/root', layer: '/var', category: 'cron' });

const notRestarted = (because: string) => new RegExp(`was not restarted, because ${because}`);
for (const [title, restarts, message, { status = { forward }, again = '', boot = 'new' } = {}] of [
  [
    'acknowledged: it is restarted, and pristine',
    true,
    /localhost: discarded 2 changes \(9\.54 MB\) of the boot b00t, notable: \/var\/spool\/cron\/root\. Evidence: \S+\.tar, SHA-256/,
  ],
  [
    'not acknowledged in time: it is not restarted',
    false,
    notRestarted('its logs could be lost: 7 journal entries are not acknowledged'),
    { status: { forward: behind } },
  ],
  ['no forwarder: it is not restarted', false, /forwards no logs/, { status: { forward: null } }],
  [
    'in maintenance mode: it is not restarted',
    false,
    /is in mode maintenance: a restart would discard nothing/,
    { status: { forward, mode: 'maintenance' } },
  ],
  ['a notable file is present again', true, /present again: \/var\/spool\/cron\/root\./, { again: cron }],
  ['the boot is the same', true, /still runs the boot b00t/, { boot: 'b00t' }],
  [
    'incomplete evidence: it is not restarted',
    false,
    notRestarted(
      'the evidence is incomplete: /var/x: too large\\. Raise immutafs_evidence_max_size, or set immutafs_incomplete_evidence: true',
    ),
  ],
  ['acknowledged, and incomplete evidence is enough', true, /Evidence: \S+\.tar \(INCOMPLETE\), SHA-256/],
] as readonly [string, boolean, RegExp, { status?: object; again?: string; boot?: string }?][]) {
  evidence(`recycle.yml: ${title}`, async ({ guest }) => {
    const dest = destOf(guest);
    const isIncomplete = title.includes('incomplete');
    agent(guest, isIncomplete ? 'echo "/var/x: too large" >&2; exit 3' : 'exit 0');
    const report = {
      verdict: 'sealed',
      mode: 'sealed',
      host: { bootId: 'b00t' },
      enforcement: 'host',
      disks: [],
      at: '2026-03-04T05:06:08.000Z',
      checks: [{ id: 'root-readonly', status: 'pass', severity: 'required' }],
      ...status,
    };
    writeFileSync(guest.file('status'), JSON.stringify(report));
    const program = readFileSync(guest.file('bin/immutafs-agent'), 'utf8');
    const cases = `case "$*" in
  "status --json") exec cat ${guest.file('status')} ;;
  "changes --json") echo '${again}'; exit ;;
esac\n`;
    writeFileSync(guest.file('bin/immutafs-agent'), program.replace('#!/bin/sh\n', `#!/bin/sh\n${cases}`));
    const restarted = guest.file('restarted');
    const variables = {
      ...{ immutafs_evidence_directory: dest, immutafs_backlog_timeout: 5 },
      ...(isIncomplete && restarts ? { immutafs_incomplete_evidence: true } : {}),
    };
    const { all, exitCode } = await guest.play(variables, tasks(restarted, boot));
    assert.match(all.replace(/\s+/g, ' '), message);
    assert.is(existsSync(restarted), restarts);
    assert.is(exitCode, title.startsWith('acknowledged') ? 0 : 2);
  });
}

evidence.run();
