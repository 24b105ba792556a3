import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { callPlugin } from '../harness/collection.ts';

const call = (name: 'differences' | 'state_name' | 'is_sealed', ...args: unknown[]) =>
  callPlugin('filter.proof', name, ...args);

type Bit = boolean | null;

const mebibytes = (count: number) => count * 1024 * 1024;
const wellBooted = { firmware: 'bios', store: null, wrong: [] as string[], blockers: [] as string[] };

/** What the host says: the XML of the next start, of now, and QEMU. */
const seen = (persistent: boolean, live: Bit, qemu: Bit, state = live === null ? 'shut off' : 'running') => ({
  ...{ state, persistent, live, qemu, target: 'vda', bus: 'virtio' },
  ...{ boot: wellBooted, boot_now: live === null ? null : wellBooted },
  read: live === null ? {} : { vda: mebibytes(300), vdb: mebibytes(2) },
  now: qemu ?? live,
});

/** What the guest says. */
const status = (mode: string, says: Bit, failing: string[] = []) => ({
  mode,
  verdict: failing.length > 0 ? 'failed' : mode,
  disks: [
    { name: 'vda', bus: 'virtio-blk', hostReadOnly: says, holds: ['/', '/boot'] },
    { name: 'vdb', bus: 'virtio-blk', hostReadOnly: false, holds: ['/home'] },
  ],
  checks: [
    { id: 'config-valid', severity: 'required', status: 'pass' },
    { id: 'footholds', severity: 'advisory', status: 'fail' },
    ...failing.map((id) => ({ id, severity: 'required', status: 'fail' })),
  ],
});

const proof = suite('what the guest says beside what its host says');
const [sealed, open] = [seen(true, true, true), seen(false, false, false)];
const read = (vda: number, vdb: number) => ({
  ...sealed,
  read: { vda: mebibytes(vda), vdb: mebibytes(vdb) },
});
const order = "firmware may boot from another disk than vda: the domain has <boot dev='hd'/>";
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
  [
    'only boot loader, kernel and initramfs came from the sealed disk',
    status('sealed', true),
    read(55, 42),
    [
      'the guest says that / is on vda, but since its start QEMU has read only 55 MiB from vda, no more than a boot ' +
        'loader needs, and 42 MiB from vdb',
    ],
  ],
  ['a guest that has just started', status('sealed', true), read(55, 2), []],
  ['a busy /home', status('sealed', true), read(300, 5000), []],
  ['a guest with one disk', status('sealed', true), { ...sealed, read: { vda: 0 } }, []],
  [
    'a copy in maintenance is what the guest says',
    status('maintenance', false),
    { ...open, read: { vda: 1, vdb: 9 } },
    [],
  ],
  [
    'the root on another bus',
    { ...status('sealed', true), disks: [{ name: 'sda', bus: 'usb', hostReadOnly: true, holds: ['/'] }] },
    sealed,
    ['the guest says that / is on sda (usb), the host has the system disk vda on virtio'],
  ],
  [
    'a boot that the guest can change, now and from the next start on',
    status('sealed', true),
    {
      ...sealed,
      boot: { ...wellBooted, wrong: [order], blockers: ['no reset'] },
      boot_now: { ...wellBooted, wrong: [order, 'on_reboot is restart'] },
    },
    [order, 'on_reboot is restart', 'no reset'],
  ],
  [
    'likewise in maintenance, where the guest is its own master',
    status('maintenance', false),
    { ...open, boot: { ...wellBooted, wrong: [order] }, boot_now: { ...wellBooted, wrong: [order] } },
    [],
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

proof('is_sealed: read-only now and later, with nothing left to correct', () => {
  const wrong = { ...wellBooted, wrong: [order] };
  for (const [host, expected] of [
    [sealed, true],
    [seen(false, true, true), false],
    [seen(true, true, false), false],
    [{ ...sealed, boot: wrong }, false],
    [{ ...sealed, boot_now: wrong }, false],
  ] as const) {
    assert.is(call('is_sealed', host), expected);
  }
});

proof('differences: an administrator may accept what else decides the boot', () => {
  const host = { ...sealed, boot: { ...wellBooted, blockers: ['no reset'] } };
  assert.equal(call('differences', status('sealed', true), host, false), []);
});

proof.run();
