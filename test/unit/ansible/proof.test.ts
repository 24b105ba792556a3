import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { programDirectories } from '../../../agent/facts/security/places.ts';
import { callPlugin } from '../../harness/collection.ts';
import { repository } from '../../harness/repository.ts';

const call = (name: 'differences' | 'state_name' | 'is_sealed', ...args: unknown[]) =>
  callPlugin('filter.proof', name, ...args);

type Bit = boolean | null;

const wellBooted = { firmware: 'bios', store: null, wrong: [] as string[], blockers: [] as string[] };

/** Returns the state that the host reports: by the XML of the next start, by the current XML, and by QEMU. */
const seen = (persistent: boolean, live: Bit, qemu: Bit, state = live === null ? 'shut off' : 'running') => ({
  ...{ state, persistent, live, qemu, target: 'vda', bus: 'virtio' },
  ...{ boot: wellBooted, boot_now: live === null ? null : wellBooted },
  ...{ serial: '0b6c71de-vda', wwn: null },
  now: qemu ?? live,
});

/** Returns the report of the guest. */
const status = (mode: string, says: Bit, failing: string[] = []) => ({
  mode,
  verdict: failing.length > 0 ? 'failed' : mode,
  disks: [
    { name: 'vda', bus: 'virtio-blk', serial: '0b6c71de-vda', hostReadOnly: says, holds: ['/', '/boot'] },
    { name: 'vdb', bus: 'virtio-blk', serial: '0b6c71de-vdb', hostReadOnly: false, holds: ['/home'] },
  ],
  checks: [
    { id: 'config-valid', severity: 'required', status: 'pass' },
    { id: 'footholds', severity: 'advisory', status: 'fail' },
    ...failing.map((id) => ({ id, severity: 'required', status: 'fail' })),
  ],
});

const proof = suite('the report of a guest compared with its host');
const [sealed, open] = [seen(true, true, true), seen(false, false, false)];
/** A guest whose root is on disks with these serial numbers, as it reports them; undefined: by an earlier agent. */
const onDisks = (bus: string, ...serials: unknown[]) => ({
  ...status('sealed', true),
  disks: serials.map((serial, index) => ({
    ...{ name: `vd${'abc'[index]}`, bus, serial, hostReadOnly: true, holds: ['/'] },
  })),
});
const scsi = (serial: string | null, wwn: string | null = null) => ({ ...sealed, bus: 'scsi', serial, wwn });
const [claimsSealed, claimsOpen] = [status('sealed', true), status('maintenance', false)];
const order = "the firmware may boot from a disk other than vda: the domain has <boot dev='hd'/>";
const says = (guest: string, host: string) =>
  `the guest reports vda as ${guest} on the host, the host reports it as ${host}`;
const elsewhere = (guest: string, host: string, names = 'vda') =>
  `the guest reports that / is on ${names} with the serial number ${guest}, but on the host the system disk vda has ${host}`;
const edited = 'the disk is read-only now, but writable from the next start';
const badBoot = { ...wellBooted, wrong: [order] };

/** Returns the report of a sealed guest with a further disk, and with what it says about data. */
const withDisk = (says: Bit, holds: string[], data: [string, string][]) => ({
  ...claimsSealed,
  disks: [...claimsSealed.disks, { name: 'vdc', bus: 'virtio-blk', hostReadOnly: says, holds }],
  data: [['/home', 'home'] as const, ...data].map(([target, rule]) => ({ target, rule })),
});

for (const [title, guest, host, ...wrong] of [
  ['sealed', claimsSealed, sealed],
  ['maintenance', claimsOpen, open],
  [
    'the guest claims to be sealed',
    ...([claimsSealed, open, says('read-only', 'writable')] as const),
    'the guest is in mode sealed, but its disk is writable',
  ],
  [
    'the guest does not know that it is sealed',
    ...([claimsOpen, sealed, says('writable', 'read-only')] as const),
    'the guest is in mode maintenance, but its disk is read-only',
  ],
  ['a guest that does not know its state', status('sealed', null), sealed, says('unknown', 'read-only')],
  [
    'QEMU and libvirt differ',
    ...([claimsOpen, seen(true, true, false)] as const),
    'libvirt reports the disk as read-only, QEMU as writable',
  ],
  [
    'another domain can write the image',
    ...([claimsSealed, { ...sealed, writers: ['builder vda', 'stub vdb'] }] as const),
    'the image of vda can also be written by builder vda, stub vdb',
  ],
  ['an administrator has edited the domain', claimsSealed, seen(false, true, true), edited],
  ['a guest without disks', { ...claimsSealed, disks: [] }, sealed, 'the guest reports no disk under /'],
  [
    'an answer in place of a guest that is off',
    ...([claimsSealed, seen(true, null, null)] as const),
    'the domain is not running, but a machine answers at the address of the guest',
  ],
  [
    'the root on a disk with another serial number',
    onDisks('virtio-blk', '0b6c71de-vdb'),
    sealed,
    elsewhere('0b6c71de-vdb', '0b6c71de-vda'),
  ],
  [
    'the same on two disks',
    onDisks('virtio-blk', '0b6c71de-vdb', 'x'),
    sealed,
    elsewhere('0b6c71de-vdb, x', '0b6c71de-vda', 'vda, vdb'),
  ],
  ['two disks, of which one is the sealed disk', onDisks('virtio-blk', 'x', '0b6c71de-vda'), sealed],
  ['a report of an agent without serial numbers', onDisks('virtio-blk', undefined), sealed],
  ['a disk without a serial number in the guest', onDisks('virtio-blk', null), sealed],
  ['a disk without a serial number in the domain', claimsSealed, { ...sealed, serial: null }],
  [
    'a serial number that virtio cuts off',
    onDisks('virtio-blk', 'web 1 - 0123456789-a'),
    { ...sealed, serial: 'web 1 - 0123456789-abc' },
  ],
  [
    'a serial number from the guest with characters for the terminal',
    onDisks('virtio-blk', '\x1b[31m'),
    sealed,
    elsewhere('__31m', '0b6c71de-vda'),
  ],
  ['SCSI, with vendor and model', onDisks('virtio-scsi', '0QEMU_QEMU_HARDDISK_a-sda'), scsi('a-sda')],
  [
    'SCSI, with the serial number of another disk',
    onDisks('virtio-scsi', '0QEMU_QEMU_HARDDISK_ba-sda'),
    scsi('a-sda'),
    elsewhere('0QEMU_QEMU_HARDDISK_ba-sda', 'a-sda'),
  ],
  ['SCSI, with a WWN', onDisks('virtio-scsi', '35000c50015ea71aa'), scsi('a', '5000c50015ea71aa')],
  [
    'SCSI, with another WWN',
    onDisks('virtio-scsi', '35000c50015ea71ab'),
    scsi(null, '5000c50015ea71aa'),
    elsewhere('35000c50015ea71ab', '35000c50015ea71aa'),
  ],
  ['a disk of data', withDisk(false, ['/srv/app'], [['/srv/app', 'DATA']]), sealed],
  ['a disk of the system that the host made read-only', withDisk(true, ['/usr'], []), sealed],
  [
    'a disk of the system that the host left writable',
    ...([withDisk(false, ['/usr'], []), sealed] as const),
    'the guest reports that it is sealed, but vdc is writable and holds /usr, which is not data',
  ],
  [
    'a disk of which the guest does not know whether the host made it read-only',
    ...([withDisk(null, ['/opt', '/srv/app'], [['/srv/app', 'fstab-data']]), sealed] as const),
    'the guest reports that it is sealed, but vdc is writable and holds /opt, which is not data',
  ],
  [
    'programs that the guest calls data',
    ...([withDisk(false, ['/opt/app'], [['/opt/app', 'DATA']]), sealed] as const),
    'the guest reports that it is sealed, but vdc is writable and holds /opt/app, which is not data',
  ],
  [
    'a directory of programs that PERSIST keeps',
    withDisk(false, ['/opt/app'], [['/opt/app', 'persist']]),
    sealed,
  ],
  [
    'the same directory, mounted twice',
    ...([
      withDisk(
        false,
        ['/opt/app'],
        [
          ['/opt/app', 'persist'],
          ['/opt/app', 'DATA'],
        ],
      ),
      sealed,
    ] as const),
    'the guest reports that it is sealed, but vdc is writable and holds /opt/app, which is not data',
  ],
  [
    'a guest that says itself that it is not sealed',
    { ...withDisk(false, ['/usr'], []), verdict: 'failed' },
    sealed,
  ],
  ['a report of an earlier version, without data', claimsSealed, sealed],
  [
    'a list of data that is none',
    ...([{ ...claimsSealed, data: 'all' }, sealed] as const),
    'the guest reports that it is sealed, but vdb is writable and holds /home, which is not data',
  ],
  ['as many read-only disks as the guest reports', claimsSealed, { ...sealed, read_only: ['vda', 'sda'] }],
  [
    'more read-only disks than the domain has',
    ...([withDisk(true, ['/usr'], []), { ...sealed, read_only: ['vda'] }] as const),
    'the guest reports vda, vdc as read-only on the host, but the read-only disks of the domain are vda',
  ],
  ['in maintenance, a guest may run from any disk', claimsOpen, { ...open, serial: 'another' }],
  [
    'the root on another bus',
    { ...claimsSealed, disks: [{ name: 'sda', bus: 'usb', hostReadOnly: true, holds: ['/'] }] },
    ...([
      sealed,
      'the guest reports that / is on sda (usb), but on the host the system disk is vda on virtio',
    ] as const),
  ],
  [
    'a boot that the guest can change, now and from the next start on',
    claimsSealed,
    {
      ...sealed,
      boot: { ...badBoot, blockers: ['no reset'] },
      boot_now: { ...wellBooted, wrong: [order, 'on_reboot is restart'], blockers: ['a serial twice'] },
    },
    ...[order, 'on_reboot is restart', 'a serial twice', 'no reset'],
  ],
  ['the same in maintenance, where the guest may', claimsOpen, { ...open, boot: badBoot, boot_now: badBoot }],
] as const) {
  proof(`differences: ${title}`, () => assert.equal(call('differences', guest, host), wrong));
}

for (const [name, host, guest] of [
  ['sealed', sealed, claimsSealed],
  ['maintenance', open, claimsOpen],
  ['sealed, failed: tmp-options', sealed, status('sealed', true, ['tmp-options'])],
  ['open, failed: a, b', open, status('maintenance', false, ['a', 'b'])],
  ['running, sealed, does not answer', sealed, null],
  ['running, open, does not answer', seen(true, true, false), null],
  ['shut off, sealed', seen(true, null, null), null],
  ['shut off, open', seen(false, null, null), null],
  ['paused, sealed', seen(true, true, true, 'paused'), null],
  [`sealed; BUT ${edited}`, seen(false, true, true), claimsSealed],
] as const) {
  proof(`state: ${name}`, () => assert.is(call('state_name', host, guest), name));
}

proof('the directories with programs are those of the agent', () => {
  const source = readFileSync(join(repository, 'ansible/plugins/filter/proof.py'), 'utf8');
  const [, list = ''] = /^PROGRAMS = \(\n(.*?)^\)/ms.exec(source) ?? [];
  assert.equal(
    [...list.matchAll(/"([^"]+)"/g)].map(([, path]) => path),
    programDirectories,
  );
});

const blocked = { ...wellBooted, blockers: ['a serial twice'] };
proof('is_sealed: read-only now and after the next start, nothing to correct', () => {
  for (const [host, expected] of [
    [sealed, true],
    [seen(false, true, true), false],
    [seen(true, true, false), false],
    [{ ...sealed, boot: badBoot }, false],
    [{ ...sealed, boot_now: badBoot }, false],
    // An administrator has corrected it, which applies from the next start on.
    [{ ...sealed, boot_now: blocked }, false],
    // Another start would not change it.
    [{ ...sealed, boot_now: blocked, boot: blocked }, true],
  ] as const) {
    assert.is(call('is_sealed', host), expected);
  }
});

proof('differences: an administrator may accept boot settings that the host does not decide', () => {
  const host = { ...sealed, boot: { ...wellBooted, blockers: ['no reset'] } };
  assert.equal(call('differences', claimsSealed, host, false), []);
});

proof.run();
