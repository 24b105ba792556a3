/** The commands of immutafs-boot, in Node. test/packaging/immutafs-boot.test.ts runs the executable on the same devices. */
import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import { FAILED, NO, USAGE, YES } from '../../../boot/guest/command.ts';
import { commands } from '../../../boot/commands.ts';
import type { Native } from '../../../boot/native/native.ts';
import { type Ran, runBoot } from '../../harness/boot-native.ts';
import { diskScenarios, drives, stackScenarios } from '../../harness/disk-scenarios.ts';
import { type DiskFixture, type StackFixture, makeSysfs } from '../../harness/sysfs.ts';
import { inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';
import * as assert from 'uvu/assert';

type Devices = readonly (DiskFixture | StackFixture)[];
interface Given {
  files?: Parameters<typeof writeFiles>[1];
  replaced?: Partial<Native>;
}

function boot(devices: Devices, args: readonly string[], { files = {}, replaced = {} }: Given = {}): Ran {
  return inTemporaryDirectory((root) => {
    makeSysfs(root, devices);
    writeFiles(root, files);
    return runBoot(root, args, replaced);
  });
}

const vda = (offered: boolean): DiskFixture => ({
  ...{ name: 'vda', device: '252:0', bus: 'virtio-blk', offered },
  partitions: { vda1: '252:1', vda2: '252:2' },
});
const vdb: DiskFixture = { name: 'vdb', device: '252:16', bus: 'virtio-blk' };
const sda = (readOnly: boolean): DiskFixture => ({
  ...{ name: 'sda', device: '8:0', bus: 'virtio-scsi', readOnly },
});
const dm0 = (...on: string[]): StackFixture => ({ name: 'dm-0', device: '253:0', on });

// --- disks --------------------------------------------------------------------------------------------------

/** Returns the lines that `disks` prints, the disks sorted. */
function disks(devices: Devices, directory: string, given: Given = {}) {
  const { code, stdout, stderr } = boot(devices, ['disks', directory], given);
  assert.equal([code, stderr], [YES, '']);
  const [name, stack, found = '', state, ...more] = stdout.split('\n');
  assert.equal(more, ['']);
  return { name, stack, disks: found.split(' ').sort(), state };
}

const disksOf = suite('disks');
for (const [title, { devices, device, disks: expected }] of Object.entries(diskScenarios)) {
  disksOf(title, () => {
    const found = disks(devices, `/sys/dev/block/${device}`);
    const wanted = expected.map(({ name, readOnly, hostReadOnly }) => {
      const byHost = name.startsWith('vd') ? 'virtio-feature' : 'scsi-flag';
      return `${name}:${readOnly ? 1 : 0}:${hostReadOnly === true ? byHost : readOnly ? 'flag' : 'none'}`;
    });
    assert.equal(found.disks, wanted);
    const isSealed = expected.every(({ hostReadOnly }) => hostReadOnly === true);
    const isReadOnly = expected.every(({ readOnly }) => readOnly);
    assert.is(found.state, isSealed ? 'sealed' : isReadOnly ? 'read-only' : 'writable');
  });
}
for (const [title, { devices, sealed }] of Object.entries(stackScenarios)) {
  disksOf(title, () => {
    const found = disks(devices, '/sys/dev/block/253:0');
    // A device with other content counts as read-only, too, or its file system could not be mounted.
    assert.equal(
      [found.disks, found.state],
      sealed ? [['vda:1:virtio-feature'], 'sealed'] : [['vda:1:stack'], 'read-only'],
    );
  });
}
for (const [title, { drive, info, accepted }] of Object.entries(drives)) {
  disksOf(`drive: ${title}`, () => {
    const files = { 'proc/sys/dev/cdrom/info': info };
    const { state, disks: found } = disks([drive], `/sys/class/block/${drive.name}`, { files });
    assert.is(state === 'sealed', accepted);
    if (accepted) assert.equal(found, ['sr0:1:cd-rom']);
  });
}
disksOf('the devices of the stack, from the top', () => {
  const devices = [vda(true), vdb, { name: 'dm-0', device: '253:0', on: ['vda2', 'vdb'] }];
  const { name, stack } = disks(
    [...devices, { name: 'dm-1', device: '253:1', on: ['dm-0'] }],
    '/sys/class/block/dm-1',
  );
  assert.equal([name, stack], ['dm-1', 'dm-1 dm-0 vda2 vdb vda']);
});
disksOf('only the disk below the device with other content has a different content', () => {
  const flakey = { name: 'dm-1', device: '253:1', on: ['vdb'], target: 'flakey' };
  const devices = [vda(true), { ...vdb, offered: true }, flakey, dm0('vda2', 'dm-1')];
  const { disks: found, state } = disks(devices, '/sys/class/block/dm-0');
  assert.equal([found, state], [['vda:1:virtio-feature', 'vdb:1:stack'], 'read-only']);
});
disksOf('a disk that was removed may have been writable', () => {
  const { disks: found, state } = disks([vda(true), dm0('vda2', 'sdz')], '/sys/class/block/dm-0');
  assert.equal([found, state], [['sdz:0:none', 'vda:1:stack'], 'writable']);
});
for (const [title, devices, directory, remove] of [
  ['a device that does not exist', [vda(true)], '/sys/class/block/vdc', undefined],
  ['a disk without its flag', [vda(true)], '/sys/class/block/vda', 'sys/class/block/vda/ro'],
  ['a disk without its features', [vda(true)], '/sys/class/block/vda', 'sys/class/block/vda/device/features'],
  [
    'an array without its level',
    [vda(true), { ...dm0('vda2'), name: 'md0' }],
    '/sys/class/block/md0',
    'sys/class/block/md0/md/level',
  ],
] as const) {
  disksOf(`no answer: ${title}`, () => {
    const ran = inTemporaryDirectory((root) => {
      makeSysfs(root, devices);
      if (remove !== undefined) fs.rmSync(path.join(root, remove));
      return runBoot(root, ['disks', directory]);
    });
    assert.equal([ran.code, ran.stdout], [FAILED, '']);
    assert.match(ran.stderr, /^immutafs-boot: \/sys\/.*\n$/);
  });
}
disksOf('the name of a device cannot become several words or a pattern', () => {
  for (const name of ['sda b', 'sda*', "sda'", '$(x)']) {
    const { code, stdout } = boot([{ ...sda(true), name }], ['disks', `/sys/class/block/${name}`]);
    assert.equal([code, stdout], [FAILED, ''], name);
  }
});
disksOf.run();

// --- udev ---------------------------------------------------------------------------------------------------

/** Each with the devices, the states sealed and read-only, the devices that are set read-only, and the device. */
const events: readonly (readonly [string, Devices, string, string[], string?])[] = [
  ['a sealed disk', [vda(true)], '11', [], 'vda'],
  ['a writable disk', [vda(false)], '00', [], 'vda'],
  ['a disk whose flag the guest set', [{ ...vda(false), readOnly: true }], '01', [], 'vda'],
  ['a write-protected SCSI disk', [sda(true)], '11', [], 'sda'],
  ['a writable SCSI disk', [sda(false)], '00', [], 'sda'],
  ['a SCSI disk that a guest can create', [{ ...sda(true), bus: 'scsi_debug' }], '01', [], 'sda'],
  ['a volume on a sealed disk', [vda(true), dm0('vda2')], '11', ['/dev/dm-0']],
  ['on a writable disk', [vda(false), dm0('vda2')], '00', []],
  ['on two disks, one of them sealed', [vda(true), vdb, dm0('vda2', 'vdb')], '00', []],
  ['read-only by a flag of the guest', [{ ...vda(false), readOnly: true }, dm0('vda2')], '01', ['/dev/dm-0']],
  ['only its own flag is set', [vda(false), { ...dm0('vda2'), readOnly: true }], '00', []],
  ['on a read-only SCSI disk', [sda(true), dm0('sda')], '11', ['/dev/dm-0']],
  [
    'on a disk that a guest can create',
    [{ ...sda(true), bus: 'scsi_debug' }, dm0('sda')],
    '01',
    ['/dev/dm-0'],
  ],
  ['with other content', [vda(true), { ...dm0('vda2'), target: 'flakey' }], '01', ['/dev/dm-0']],
  [
    'an array on sealed disks',
    [vda(true), sda(true), { ...dm0('vda2', 'sda'), name: 'md127' }],
    '11',
    [],
    'md127',
  ],
  [
    'an array on one sealed disk',
    [vda(true), sda(false), { ...dm0('vda2', 'sda'), name: 'md127' }],
    '00',
    [],
    'md127',
  ],
  [
    'on a stack on a sealed disk',
    [vda(true), { name: 'dm-1', device: '253:1', on: ['vda2'] }, dm0('dm-1')],
    '11',
    ['/dev/dm-0'],
  ],
];
const udev = suite('udev');
for (const [title, devices, state, setReadOnly, name = 'dm-0'] of events) {
  udev(title, () => {
    const ran = boot(devices, ['udev', name]);
    const stdout = `IMMUTAFS_SEALED=${state.charAt(0)}\nIMMUTAFS_READ_ONLY=${state.charAt(1)}\n`;
    assert.equal(ran, { code: YES, stdout, stderr: '', setReadOnly });
  });
}
for (const [cmdline, isOff] of [
  ['ro immutafs=off quiet', true],
  ['root=/dev/mapper/immutafs-root immutafs=off', true],
  ['immutafs=sealed immutafs=off', true],
  ['immutafs=off immutafs=sealed', false],
  ['noimmutafs=off rd.immutafs=off', false],
  ['ro immutafs=offline', false],
  ['x="a immutafs=off b"', false],
] as const) {
  udev(`${cmdline}: ${isOff ? '' : 'not '}off`, () => {
    const { stdout } = boot([vda(true)], ['udev', 'vda'], { files: { 'proc/cmdline': `${cmdline}\n` } });
    const off = isOff ? 'IMMUTAFS_OFF=1\n' : '';
    assert.is(stdout, `IMMUTAFS_SEALED=1\nIMMUTAFS_READ_ONLY=1\n${off}`);
  });
}
udev('its rules do not read the kernel command line themselves', () => {
  const rules = fs.readFileSync('dracut/66-immutafs-readonly.rules', 'utf8');
  assert.not.match(rules, /^[^#].*\{cmdline\}/m);
  assert.match(rules, /^ENV\{IMMUTAFS_OFF\}=="1", GOTO="immutafs_end"$/m);
});
udev('a device that does not exist', () => {
  assert.equal(
    [boot([vda(true)], ['udev', 'dm-0'])].map(({ code, stdout }) => [code, stdout]),
    [[FAILED, '']],
  );
});
udev('a volume that cannot be set read-only is not sealed', () => {
  const setReadOnly = () => {
    throw Object.assign(new Error('No such file or directory'), { code: 'ENOENT' });
  };
  const { code, stdout, stderr } = boot([vda(true), dm0('vda2')], ['udev', 'dm-0'], {
    replaced: { setReadOnly },
  });
  assert.equal([code, stdout, stderr], [FAILED, '', 'immutafs-boot: /dev/dm-0: No such file or directory\n']);
});
const paths = [sda(true), { ...sda(false), name: 'sdb', device: '8:16' }];
const above = { name: 'dm-1', device: '253:1', on: ['dm-0'] };
for (const [title, devices, uuid, expected] of [
  ['a multipath device with a read-only path', [...paths, dm0('sda', 'sdb')], 'mpath-x', ['/dev/dm-0']],
  ['a volume on it', [...paths, dm0('sda', 'sdb'), above], 'mpath-x', ['/dev/dm-1']],
  ['another device on the same disks', [...paths, dm0('sda', 'sdb')], 'LVM-x', []],
  ['a multipath device with writable paths', [...paths, dm0('sdb')], 'mpath-x', []],
] as const) {
  udev(`not sealed: ${title}`, () => {
    const files = { 'sys/class/block/dm-0/dm/uuid': `${uuid}\n` };
    const { stdout, setReadOnly } = boot(devices, ['udev', devices.at(-1)?.name ?? ''], { files });
    assert.match(stdout, /^IMMUTAFS_SEALED=0\n/);
    assert.equal(setReadOnly, expected);
  });
}
udev('whatever root in the guest writes to names, labels and UUIDs, a writable disk is not sealed', () => {
  const bytes = fc.string({
    unit: fc.integer({ min: 0, max: 255 }).map((byte) => String.fromCharCode(byte)),
  });
  fc.assert(
    fc.property(bytes, bytes, bytes, (uuid, vendor, info) => {
      const devices = [{ ...sda(true), bus: 'scsi_debug', vendor } as const, dm0('sda')];
      const files = { 'sys/class/block/dm-0/dm/uuid': uuid, 'proc/sys/dev/cdrom/info': info };
      for (const name of ['sda', 'dm-0']) {
        const { code, stdout } = boot(devices, ['udev', name], { files });
        assert.equal([code, /^IMMUTAFS_SEALED=0\nIMMUTAFS_READ_ONLY=1\n$/.test(stdout)], [YES, true]);
      }
    }),
    { numRuns: 15 },
  );
});
udev.run();

// --- members ------------------------------------------------------------------------------------------------

const sealedVdb: DiskFixture = { ...vdb, offered: true, partitions: { vdb2: '252:18' } };
const vdc: DiskFixture = { name: 'vdc', device: '252:32', bus: 'virtio-blk', partitions: { vdc2: '252:34' } };

interface Members {
  id?: string;
  /** The UUID of the sealed members. */
  sealed?: string;
  /** The sealed members; a name other than vdb2 is that of a device that does not exist. */
  links?: readonly string[];
  /** The number of members that mdadm tells; undefined if it tells none. */
  count: number | undefined;
}

/** Returns the exit code of may-join for a device. */
function member(name: string, { id = 'ab:cd', sealed = id, links = ['vdb2'], count }: Members) {
  const link = (each: string) => [
    `dev/block/immutafs/member/${sealed}/${each}`,
    { linkTo: `../../../../${each}` },
  ];
  const files = {
    'usr/sbin/mdadm': '',
    'dev/vdb2': '',
    ...(Object.fromEntries(links.map(link)) as Record<string, { linkTo: string }>),
  };
  const mdadm: Native['run'] = (...words) => {
    assert.equal(words, ['/usr/sbin/mdadm', '--examine', '--export', '/dev/vdb2']);
    return count === undefined ? undefined : `MD_LEVEL=raid1\nMD_DEVICES=${count}\n`;
  };
  const ask = (...args: string[]) => boot([sealedVdb, vdc], args, { files, replaced: { run: mdadm } });
  const joins = ask('may-join', name, id);
  assert.equal([joins.stdout, joins.stderr], ['', '']);
  return joins.code;
}

const joining = suite('may-join');
for (const [title, name, given, expected] of [
  ['a member on a writable disk of an array that the sealed members complete', 'vdc2', { count: 1 }, NO],
  ['the sealed member itself', 'vdb2', { count: 1 }, YES],
  ['a member of an array that spans both disks', 'vdc2', { count: 2 }, YES],
  ['a member of an array that is not on a sealed disk', 'vdc2', { count: 1, links: [] }, YES],
  ['a member, if the number of members is unknown', 'vdc2', { count: undefined }, NO],
  ['a member of another array than the sealed one', 'vdc2', { count: 1, sealed: 'other' }, YES],
  ['a sealed member that was removed', 'vdc2', { count: 1, links: ['vdd2'] }, YES],
  ['a UUID that is a path', 'vdc2', { id: '../by-uuid/x', count: 1 }, YES],
] as const) {
  joining(title, () => {
    assert.is(member(name, given), expected);
  });
}
joining('no answer: a device that does not exist', () => {
  assert.is(boot([vdc], ['may-join', 'vdd2', 'ab:cd']).code, FAILED);
});
joining.run();

// --- tables -------------------------------------------------------------------------------------------------

const tables = suite('tables');
/** The targets of a device, and the type that `tables` prints. test/vm/matrix/foreign-programs.ts has real tables. */
for (const [targets, expected] of [
  [['linear 252:2'], ''],
  [['linear 252:2', 'striped 2', 'mirror core', 'multipath 0', 'snapshot-origin 252:2'], ''],
  [['raid raid1', 'raid raid0', 'raid raid0_meta', 'raid raid10'], ''],
  [['raid raid5_ls'], ' raid'],
  [['raid '], ' raid'],
  [['crypt aes-xts-plain64', 'crypt aes-cbc-essiv:sha256'], ''],
  [['crypt aes-cbc-plain64'], ' crypt'],
  [['crypt cipher_null-ecb'], ' crypt'],
  [['linear 252:2', 'flakey 252:2', 'zero '], ' flakey'],
  [['linear2 252:2'], ' linear2'],
  [['constructor x'], ' constructor'],
  [[], ''],
] as const) {
  tables(JSON.stringify(targets), () => {
    const replaced: Partial<Native> = {
      mapped: () => ['253:0', '253:1048575'],
      table: (major, minor) => (assert.is(major, 253), minor === 0 ? [...targets] : ['linear 252:2']),
    };
    const code = expected === '' ? YES : NO;
    const all = boot([], ['tables'], { replaced });
    assert.equal([all.code, all.stdout], [code, `253:0${expected}\n253:1048575\n`]);
    const one = boot([], ['tables', '253:0'], { replaced });
    assert.equal([one.code, one.stdout], [code, `253:0${expected}\n`]);
  });
}
tables('a table that the kernel does not show, and a number that is none', () => {
  const { code, stdout } = boot([], ['tables', '253:7', 'x', '253:0:0', '253:-1', '4294967549:0']);
  assert.is(code, NO);
  assert.is(
    stdout,
    '253:7 unreadable\nx unreadable\n253:0:0 unreadable\n253:-1 unreadable\n4294967549:0 unreadable\n',
  );
});
tables('device-mapper cannot be asked', () => {
  const mapped = () => {
    throw Object.assign(new Error('Permission denied'), { code: 'EACCES' });
  };
  const { code, stdout, stderr } = boot([], ['tables'], { replaced: { mapped } });
  assert.equal(
    [code, stdout, stderr],
    [FAILED, '', 'immutafs-boot: /dev/mapper/control: Permission denied\n'],
  );
});
tables.run();

// --- the program --------------------------------------------------------------------------------------------

const program = suite('the command line');
for (const args of [
  [],
  ['x'],
  ['toString'],
  ['udev'],
  ['udev', 'vda', 'x'],
  ['disks'],
  ['may-join', 'vda'],
]) {
  program(`usage: ${args.join(' ')}`, () => {
    const { code, stdout, stderr } = boot([vda(true)], args);
    assert.equal([code, stdout], [USAGE, '']);
    assert.match(stderr, /^immutafs-boot: (unknown command|\S+ needs) .*\n$/);
  });
}
program('a defect is no answer', () => {
  const list = () => {
    throw new TypeError('not a function');
  };
  const { code, stdout, stderr } = boot([vda(true), dm0('vda2')], ['udev', 'dm-0'], { replaced: { list } });
  assert.equal([code, stdout], [FAILED, '']);
  assert.match(stderr, 'not a function');
});
program('each command sets its time limit, which is shorter than that of udev if udev runs it', () => {
  const rules = fs
    .globSync('dracut/*.rules')
    .map((file) => fs.readFileSync(file, 'utf8'))
    .join('');
  assert.match(rules, 'immutafs-boot udev ');
  for (const [name, { args, seconds }] of Object.entries(commands)) {
    const limits: number[] = [];
    const words = args.includes('…') ? [] : args.split(' ').filter((word) => word !== '');
    boot([vda(true)], [name, ...words], { replaced: { limit: (limit) => limits.push(limit) } });
    assert.equal(limits, [seconds], name);
    assert.ok(seconds > 0 && (seconds < 30 || !rules.includes(`immutafs-boot ${name} `)), name);
  }
});
program.run();
