import { execFileSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inRoot } from '../../packaging/build-paths.ts';

/** Reads [function, arguments…] a line and writes what the function of the filter plugin returns, as JSON. */
const program = `import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("proof", sys.argv[1])
proof = importlib.util.module_from_spec(spec)
spec.loader.exec_module(proof)
for line in sys.stdin:
    name, *args = json.loads(line)
    print(json.dumps(getattr(proof, name)(*args)))`;

function call(name: 'differences' | 'state_name', ...args: unknown[]): unknown {
  const file = inRoot('ansible/plugins/filter/proof.py');
  const input = `${JSON.stringify([name, ...args])}\n`;
  return JSON.parse(
    execFileSync('/usr/bin/python3', ['-B', '-c', program, file], { input, encoding: 'utf8' }),
  );
}

type Bit = boolean | null;

/** What the host says: the XML of the next start, of now, and QEMU. */
const seen = (persistent: boolean, live: Bit, qemu: Bit, state = live === null ? 'shut off' : 'running') => ({
  ...{ state, persistent, live, qemu },
  now: qemu ?? live,
});

/** What the guest says. */
const status = (mode: string, says: Bit, failing: string[] = []) => ({
  mode,
  verdict: failing.length > 0 ? 'failed' : mode,
  disks: [
    { name: 'vda', hostReadOnly: says, holds: ['/', '/boot'] },
    { name: 'vdb', hostReadOnly: false, holds: ['/home'] },
  ],
  checks: [
    { id: 'config-valid', severity: 'required', status: 'pass' },
    { id: 'footholds', severity: 'advisory', status: 'fail' },
    ...failing.map((id) => ({ id, severity: 'required', status: 'fail' })),
  ],
});

const proof = suite('what the guest says beside what its host says');
const [sealed, open] = [seen(true, true, true), seen(false, false, false)];
for (const [title, guest, host, wrong] of [
  ['sealed', status('sealed', true), sealed, []],
  ['maintenance', status('maintenance', false), open, []],
  [
    'the guest claims to be sealed',
    status('sealed', true),
    open,
    [
      'the guest says that its host has vda read-only, the host says writable',
      "the guest's mode is sealed, its disk writable",
    ],
  ],
  [
    'the guest does not know that it is sealed',
    status('maintenance', false),
    sealed,
    [
      'the guest says that its host has vda writable, the host says read-only',
      "the guest's mode is maintenance, its disk read-only",
    ],
  ],
  [
    'a guest that cannot tell',
    status('sealed', null),
    sealed,
    ['the guest says that its host has vda unknown, the host says read-only'],
  ],
  [
    'QEMU does not do what libvirt says',
    status('maintenance', false),
    seen(true, true, false),
    ['libvirt has the disk read-only, QEMU writable'],
  ],
  [
    'somebody has edited the domain',
    status('sealed', true),
    seen(false, true, true),
    ['the disk is read-only now and writable from the next start on'],
  ],
  [
    'a guest without disks',
    { ...status('sealed', true), disks: [] },
    sealed,
    ['the guest names no disk under /'],
  ],
  [
    'an answer in place of a guest that is off',
    status('sealed', true),
    seen(true, null, null),
    ['the domain does not run, but something answers in its place'],
  ],
] as const) {
  proof(`differences: ${title}`, () => assert.equal(call('differences', guest, host), wrong));
}

for (const [name, host, guest] of [
  ['sealed', sealed, status('sealed', true)],
  ['maintenance', open, status('maintenance', false)],
  ['sealed, failed: tmp-options', sealed, status('sealed', true, ['tmp-options'])],
  [
    'open, failed: tmp-options, home-options',
    open,
    status('maintenance', false, ['tmp-options', 'home-options']),
  ],
  ['running, sealed, does not answer', sealed, null],
  ['running, open, does not answer', seen(true, true, false), null],
  ['shut off, sealed', seen(true, null, null), null],
  ['shut off, open', seen(false, null, null), null],
  ['paused, sealed', seen(true, true, true, 'paused'), null],
  [
    'sealed; BUT the disk is read-only now and writable from the next start on',
    seen(false, true, true),
    status('sealed', true),
  ],
] as const) {
  proof(`state: ${name}`, () => assert.is(call('state_name', host, guest), name));
}

proof.run();
