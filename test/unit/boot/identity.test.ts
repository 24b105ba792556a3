/** The device that is mounted as the root. */
import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseMounts } from '../../../agent/facts/mounts/mount-lines.ts';
import { decideMode } from '../../../boot/guest/boot-state.ts';
import { wordOf } from '../../../boot/guest/disks.ts';
import { rootReader } from '../../harness/boot-native.ts';
import { type EarlyBoot, dm0, inEarlyBoot, linkDevice, vda, vdb, vdc } from '../../harness/early-boot.ts';
import { makeSysfs } from '../../harness/sysfs.ts';
import { inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';

type Files = Record<string, string>;

/** udev records a UUID twice, of which one is encoded. */
const udev = (device: string, ...lines: string[]) => ({
  [`run/udev/data/b${device}`]: lines
    .flatMap((line) => [line, line.replace('_UUID_ENC=', '_UUID=')])
    .map((line) => `E:${line}\n`)
    .join(''),
});
const root = udev('253:0', 'ID_FS_TYPE=xfs', 'ID_FS_UUID_ENC=root-uuid', 'ID_FS_LABEL_ENC=root');
const member = udev('252:2', 'ID_FS_TYPE=LVM2_member', 'ID_FS_UUID_ENC=pv', 'ID_PART_ENTRY_UUID=part');
const luks = udev('252:2', 'ID_FS_TYPE=crypto_LUKS', 'ID_FS_UUID_ENC=luks');
const lv = (vg: string, name: string) => ({
  'sys/class/block/dm-0/dm/name': `${name}\n`,
  'sys/class/block/dm-0/dm/uuid': `LVM-${vg.replaceAll('-', '')}${'b'.repeat(32)}\n`,
});
const group = 'aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa';
const other = 'cccccc-cccc-cccc-cccc-cccc-cccc-cccccc';
const arrays = {
  ...udev('252:2', 'ID_FS_TYPE=linux_raid_member', 'ID_FS_UUID_ENC=array'),
  ...udev('252:18', 'ID_FS_TYPE=linux_raid_member', 'ID_FS_UUID_ENC=array'),
};
/** A Btrfs on vda2, which is not supported as a root. */
const btrfs = {
  cmdline: 'root=UUID=btrfs',
  mounts: ['0:30 /sysroot btrfs /dev/vda2'],
  files: udev('252:2', 'ID_FS_TYPE=btrfs', 'ID_FS_UUID_ENC=btrfs'),
};

interface Scenario extends EarlyBoot {
  disk?: 'sealed' | 'writable';
  /** Files of the initramfs. */
  files?: Files;
  /** Lines of lvm about the sealed volumes, and the number of members that mdadm tells. */
  lvm?: readonly string[];
  members?: number;
  /** Whether the volume of the root is also on the sealed disk. */
  spans?: boolean;
}

const mounted = ['253:0 /sysroot ext4 /dev/mapper/rhel-root'];

function check({ disk = 'writable', lvm = [], members, spans = false, ...given }: Scenario) {
  const on = spans ? ['vda2', 'vdb2'] : ['vda2'];
  const program: EarlyBoot['program'] = (_, [name]) => {
    if (name === 'lvm') return lvm.map((line) => `  ${line}\n`).join('');
    return name === 'mdadm' && members !== undefined ? `MD_DEVICES=${members}\n` : undefined;
  };
  const files = { 'sysroot/etc/immutafs/immutafs.conf': 'MODE=off\n', ...given.files };
  const devices = [vda(disk === 'sealed'), vdb, vdc, { ...dm0, on }];
  const { code, stderr, after, programs, stdout } = inEarlyBoot(
    { mounts: mounted, program, devices, ...given, files },
    ['initramfs', '/sysroot'],
  );
  const record = after('run/immutafs/boot.env') ?? '';
  const warnings = record.split('\n').filter((line) => line.startsWith('WARNING='));
  return {
    ...{ code, stdout, programs, kmsg: after('dev/kmsg'), isRecorded: record !== '', warnings },
    stderr: stderr.replace(/^immutafs: off: .*\n/m, ''),
  };
}

const byUuid = 'root=UUID=root-uuid';
/** By title: the boot, a link to the sealed device, and the identity that both devices have. */
const impostors: Readonly<Record<string, readonly [Scenario, link: string, identity: string]>> = {
  'a device over the sealed one, such as a snapshot': [
    {
      files: { ...root, ...udev('252:18', 'ID_FS_TYPE=xfs', 'ID_FS_UUID_ENC=root-uuid') },
      spans: true,
    },
    'by-uuid/root-uuid',
    'UUID=root-uuid',
  ],
  'a sealed disk has the requested UUID': [{ cmdline: byUuid }, 'by-uuid/root-uuid', 'UUID=root-uuid'],
  'likewise the label': [{ cmdline: 'root=LABEL=root' }, 'by-label/root', 'LABEL=root'],
  'likewise a link': [
    { cmdline: 'root=/dev/disk/by-partuuid/part' },
    'by-partuuid/part',
    '/dev/disk/by-partuuid/part',
  ],
  'the last root= counts': [{ cmdline: `root=UUID=x ${byUuid}` }, 'by-uuid/root-uuid', 'UUID=root-uuid'],
  'the mounted one': [{ cmdline: 'root=/dev/vda2', files: root }, 'by-uuid/root-uuid', 'UUID=root-uuid'],
  'a physical volume under it likewise': [{ files: { ...root, ...member } }, 'by-uuid/pv', 'UUID=pv'],
  'the partition under it likewise': [{ files: { ...root, ...member } }, 'by-partuuid/part', 'PARTUUID=part'],
  'a copied LUKS header': [{ files: { ...root, ...luks } }, 'by-uuid/luks', 'UUID=luks'],
  'no LUKS, although requested': [
    { cmdline: 'rd.luks.uuid=luks-abc', files: root },
    'by-uuid/abcdef',
    'LUKS=luks-abc',
  ],
  'no array, although requested': [
    {
      cmdline: 'rd.md.uuid=ab:cd',
      files: { ...root, ...udev('252:18', 'ID_FS_TYPE=linux_raid_member', 'ID_FS_UUID_ENC=a-bcd') },
    },
    'md/vdb2',
    'MD=ab:cd',
  ],
  'no LVM, although a sealed group is requested': [
    { cmdline: 'rd.lvm.lv=rhel/root', files: root, lvm: [`pv ${group} rhel`] },
    'lvm/vdb2',
    'VG=rhel',
  ],
  'likewise the group alone': [
    { cmdline: 'rd.lvm.vg=rhel', files: root, lvm: [`pv ${group} rhel`] },
    'lvm/vdb2',
    'VG=rhel',
  ],
  'likewise by root=': [
    { cmdline: 'root=/dev/mapper/my--vg-root', files: root, lvm: [`pv ${group} my-vg`] },
    'lvm/vdb2',
    'VG=my-vg',
  ],
  'another group of the same name': [
    {
      files: { ...root, ...member, ...lv(other, 'rhel-root') },
      lvm: [`sealed-pv ${group} rhel`],
    },
    'lvm/vdb2',
    'VG=rhel',
  ],
  'likewise, without udev data': [
    { files: { ...root, ...lv(other, 'rhel-root') }, lvm: [`sealed-pv ${group} rhel`] },
    'lvm/vdb2',
    'VG=rhel',
  ],
  'the same group by another name': [
    { files: { ...root, ...member, ...lv(group, 'evil-root') }, lvm: [`sealed-pv ${group} rhel`] },
    'lvm/vdb2',
    'VG=rhel',
  ],
  'an array that the sealed member alone completes': [
    { files: { ...root, ...arrays }, members: 1 },
    'member/array/vdb2',
    'UUID=array',
  ],
  'an array that spans both disks, and runs without the sealed member': [
    { files: { ...root, ...arrays }, members: 2 },
    'member/array/vdb2',
    'UUID=array',
  ],
  'a Btrfs with the UUID of a sealed device': [{ ...btrfs, cmdline: '' }, 'by-uuid/btrfs', 'UUID=btrfs'],
  'a root without a device, and the requested one is not mounted': [
    { cmdline: byUuid, mounts: ['0:40 /sysroot overlay x'] },
    'by-uuid/root-uuid',
    'UUID=root-uuid',
  ],
};

const genuine: Readonly<Record<string, Scenario>> = {
  'the sealed disk': { disk: 'sealed', cmdline: byUuid, files: root, links: ['by-uuid/root-uuid'] },
  'no disk is sealed': { cmdline: byUuid, files: { ...root, ...member } },
  'a sealed data disk': {
    ...{ cmdline: `${byUuid} rd.lvm.lv=rhel/root`, links: ['by-uuid/data', 'lvm/vdb2'] },
    ...{ files: { ...root, ...member, ...lv(group, 'rhel-root') }, lvm: [`data ${other} data`] },
  },
  'a sealed disk with the same label, which is not requested': {
    ...{ cmdline: byUuid, files: root, links: ['by-label/root'] },
  },
  'immutafs=off': { cmdline: `${byUuid} immutafs=off`, files: root, links: ['by-uuid/root-uuid'] },
  'a group that spans a sealed and a writable disk': {
    cmdline: 'root=/dev/mapper/rhel-root rd.lvm.lv=rhel/root',
    files: { ...root, ...member, ...lv(group, 'rhel-root') },
    lvm: [`sealed-pv ${group} rhel`, `pv ${group} rhel`],
    ...{ links: ['lvm/vdb2', 'by-uuid/sealed-pv'], spans: true },
  },
  'an array that spans a sealed and a writable disk': {
    cmdline: `${byUuid} rd.md.uuid=array`,
    files: { ...root, ...arrays },
    ...{ members: 2, links: ['member/array/vdb2'], spans: true },
  },
  'a root without a device, and the requested one is mounted below': {
    ...{ cmdline: byUuid, links: ['by-uuid/root-uuid'] },
    mounts: ['0:40 /sysroot overlay x', '252:18 /run/lower xfs /dev/vdb2'],
  },
  'a Btrfs on the sealed disk': { ...btrfs, disk: 'sealed', links: ['by-uuid/btrfs vda2'] },
  'a Btrfs, and no disk is sealed': btrfs,
  'partitions of disks without an identifier': {
    files: { ...root, ...udev('252:2', 'ID_PART_ENTRY_UUID=00000000-02') },
    links: ['by-partuuid/00000000-02'],
  },
  'a link that leads nowhere': { cmdline: byUuid, links: ['by-uuid/root-uuid none'], files: root },
};

const test = suite('the device that is mounted as the root');
for (const [title, [scenario, link, identity]] of Object.entries(impostors)) {
  test(`${title}: the boot ends`, () => {
    const { code, kmsg = '', stderr, isRecorded } = check({ ...scenario, links: [link] });
    // No configuration of the impostor was used.
    assert.equal([code, isRecorded, stderr], [13, false, ''], kmsg);
    assert.ok(kmsg.includes(`(${identity})`), kmsg);
    assert.match(
      kmsg,
      /^<2>immutafs: \/ is mounted from \/dev\/(dm-0|vda2|unknown), which poses as \/dev\/vdb2 .*immutafs=off to the kernel command line\.\n$/,
    );
    assert.is(check(scenario).code, 0, 'without the sealed device');
  });
}
for (const [title, scenario] of Object.entries(genuine)) {
  test(`${title}: the boot continues`, () => {
    const { code, kmsg, stderr } = check(scenario);
    assert.equal([code, kmsg, stderr], [0, '', '']);
  });
}
test('if no disk has an identity of the sealed one, lvm does not run', () => {
  const { code, programs } = check({ cmdline: byUuid, files: { ...root, ...member } });
  assert.equal([code, programs], [0, []]);
});
test('the disks are unknown: the boot ends if a disk is sealed, and else continues', () => {
  const scenario = {
    files: { ...root, 'sys/class/block/dm-0/dm/x': '' },
    replaced: (folder: string) => {
      fs.rmSync(path.join(folder, 'sys/class/block/vda/device/features'));
      return {};
    },
  };
  const { code, kmsg = '' } = check({ ...scenario, links: ['by-uuid/other'] });
  assert.is(code, 13);
  assert.match(
    kmsg,
    /^<2>immutafs: \/ is mounted from \/dev\/unknown, whose disks are unknown \(\/sys\/.*features/,
  );
  assert.equal([check(scenario).code, check(scenario).kmsg], [0, '']);
  assert.is(check({ ...scenario, links: ['by-uuid/other'], cmdline: 'immutafs=off' }).code, 0);
});
test('a Btrfs on a sealed disk: the boot is sealed, so that it does not fail, but not by the host', () => {
  for (const [mount, evidence] of [
    ['0:30 /sysroot btrfs /dev/vda2', 'stack'],
    ['252:2 /sysroot xfs /dev/vda2', 'virtio-feature'],
  ] as const) {
    const { mode, disks, reason } = inTemporaryDirectory((folder) => {
      makeSysfs(folder, [vda(true)]);
      writeFiles(folder, { 'dev/vda2': '', 'proc/cmdline': '', 'proc/self/mountinfo': '' });
      const [device = '', target = '', type = '', source = ''] = mount.split(' ');
      const line = `1 0 ${device} / ${target} rw - ${type} ${source} rw\n`;
      return decideMode(rootReader(folder), parseMounts(line, (text) => text)[0], { MODE: 'auto' });
    });
    assert.equal([mode, disks.map(wordOf)], ['sealed', [`vda:1:${evidence}`]]);
    assert.is(reason, `disk vda is read-only (${evidence})`);
  }
});
test('whatever udev, device-mapper, lvm, mdadm and the command line say: an answer', () => {
  // None of them can have a NUL.
  const bytes = fc.string({
    unit: fc.oneof(
      fc.constantFrom('/', '.', '-', '=', ' ', '"', '\\'),
      fc.integer({ min: 1, max: 255 }).map((byte) => String.fromCharCode(byte)),
    ),
  });
  const type = fc.oneof(fc.constantFrom('LVM2_member', 'linux_raid_member', 'crypto_LUKS', 'xfs'), bytes);
  const values = fc.record({ type, uuid: bytes, label: bytes, part: bytes, mapped: bytes, lvm: bytes });
  const codes = new Set<number>();
  fc.assert(
    fc.property(
      values,
      fc.array(bytes, { maxLength: 3 }),
      ({ type, uuid, label, part, mapped, lvm }, words) => {
        const lines = [`TYPE=${type}`, `UUID_ENC=${uuid}`, `LABEL_ENC=${label}`].map(
          (line) => `ID_FS_${line}`,
        );
        const own = [...lines, `ID_PART_ENTRY_UUID=${part}`];
        const { code, stderr, isRecorded } = check({
          files: { ...udev('253:0', ...own), ...udev('252:2', ...own), ...lv(other, mapped) },
          ...{ lvm: [`pv ${group} rhel`, lvm], cmdline: ['root=UUID=', 'rd.lvm.lv=', ...words].join(label) },
          links: ['by-uuid/x', 'lvm/vdb2', 'member/array/vdb2'],
        });
        assert.not.match(stderr, 'internal error');
        // A name can be too long for a path. The hook then ends the boot.
        assert.ok(isRecorded ? code === 0 : [3, 13].includes(code), stderr);
        codes.add(code);
      },
    ),
    {
      numRuns: 30,
      endOnFailure: true,
      examples: [[{ type: 'xfs', uuid: 'x', label: '', part: '', mapped: '', lvm: '' }, []]],
    },
  );
  assert.ok(codes.has(0) && codes.has(13));
});
test('ON_IMPOSTOR is read in the initramfs, not from the impostor', () => {
  const files = { ...root, 'sysroot/etc/immutafs/immutafs.conf': 'ON_IMPOSTOR=emergency\nMODE=off\n' };
  const scenario = { cmdline: byUuid, files, links: ['by-uuid/root-uuid'] };
  assert.is(check(scenario).code, 13);
  for (const [text, code] of [
    ['ON_IMPOSTOR=emergency\n', 12],
    ['ON_IMPOSTOR=ignore\n', 13],
  ] as const) {
    const ran = check({ ...scenario, files: { ...files, 'etc/immutafs/immutafs.conf': text } });
    assert.is(ran.code, code);
  }
});
test.run();

const waiting = suite('the wait for udev');
const queue = { 'run/udev/queue': '' };
waiting('links that udev makes meanwhile are found', () => {
  const program = (folder: string, words: readonly string[]) => {
    assert.equal(words, ['udevadm', 'settle', '--timeout=180']);
    linkDevice(folder, 'block/immutafs/by-uuid/root-uuid', 'vdb2');
    fs.rmSync(path.join(folder, 'run/udev/queue'));
    return '';
  };
  assert.is(check({ cmdline: byUuid, files: { ...root, ...queue }, program }).code, 13);
});
const late = 'which the host did not make read-only, and udev was still busy after 180 s';
for (const [title, text, expected] of [
  ['powers off', '', 13],
  ['ends in a shell', 'ON_IMPOSTOR=emergency\n', 12],
] as const) {
  waiting(`udev does not settle, and the host did not make the root read-only: the boot ${title}`, () => {
    const files = { ...root, ...queue, 'etc/immutafs/immutafs.conf': text };
    const { code, kmsg = '' } = check({ cmdline: byUuid, files });
    assert.is(code, expected);
    assert.ok(kmsg.startsWith(`<2>immutafs: / is mounted from /dev/dm-0, ${late}`), kmsg);
  });
}
waiting('udevadm succeeds although udev is still busy, as in systemd 219: the boot ends after 180 s', () => {
  const program = (folder: string) => {
    const file = path.join(folder, 'proc/uptime');
    fs.writeFileSync(file, `${parseInt(fs.readFileSync(file, 'utf8')) + 90}.00 1.00\n`);
    return '';
  };
  const { code, programs } = check({ cmdline: byUuid, files: { ...root, ...queue }, program });
  assert.equal([code, programs], [13, ['udevadm settle --timeout=180', 'udevadm settle --timeout=90']]);
});
waiting('the root is on the sealed disk or the check is off: the boot continues, with a warning', () => {
  const files = { ...root, ...queue };
  const { code, warnings, stderr } = check({ disk: 'sealed', cmdline: byUuid, files });
  const warning =
    'udev is still busy after 180 s; disks may be missing: see dmesg, and detach the disk that does not answer';
  assert.equal([code, warnings, stderr], [0, [`WARNING=${warning}`], `immutafs: warning: ${warning}\n`]);
  assert.equal(check({ cmdline: `${byUuid} immutafs=off`, files }).programs, []);
});
waiting('/usr is not on the sealed disk: the boot ends', () => {
  const mounts = [...mounted, '252:34 /sysroot/usr ext4 /dev/vdc2'];
  const { code, kmsg = '' } = check({ disk: 'sealed', files: { ...root, ...queue }, mounts });
  assert.is(code, 13);
  assert.ok(kmsg.startsWith(`<2>immutafs: /usr is mounted from /dev/vdc2, ${late}`), kmsg);
});
waiting.run();

const below = suite('what is mounted below the root');
for (const [title, device, code] of [
  ['a /usr that poses as the sealed one: the boot ends', '252:34', 13],
  ['the sealed /usr', '252:18', 0],
] as const) {
  below(title, () => {
    const ran = check({
      ...{ disk: 'sealed', cmdline: 'root=LABEL=root', links: ['by-label/root', 'by-uuid/usr'] },
      files: { 'sysroot/etc/fstab': 'UUID=usr /usr xfs ro 0 0\n' },
      mounts: [...mounted, `${device} /sysroot/usr ext4 x`, '0:5 /sysroot/tmp tmpfs x'],
    });
    assert.is(ran.code, code);
    if (code === 13)
      assert.match(ran.kmsg ?? '', '/usr is mounted from /dev/vdc2, which poses as /dev/vdb2 (UUID=usr)');
  });
}
below('fstab of a root that is not sealed is not read', () => {
  const ran = check({
    ...{ cmdline: byUuid, links: ['by-uuid/usr'] },
    files: { ...root, 'sysroot/etc/fstab': 'UUID=usr /usr xfs ro 0 0\n' },
    mounts: [...mounted, '252:34 /sysroot/usr ext4 x'],
  });
  assert.is(ran.code, 0);
});
below.run();
