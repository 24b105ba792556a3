import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { splitVolumeName } from '../../../boot/identity/lvm.ts';
import { type EarlyBoot, inEarlyBoot, linkDevice, vda } from '../../harness/early-boot.ts';
import type { DiskFixture } from '../../harness/sysfs.ts';

const names = suite('the name of a volume in device-mapper');
names('is split as lvm2 joins it', () => {
  const name = fc.stringMatching(/^[a-z+_.][a-z+_.-]{0,8}$/);
  fc.assert(
    fc.property(name, name, (group, volume) => {
      const mapped = [group, volume].map((each) => each.replaceAll('-', '--')).join('-');
      assert.equal(splitVolumeName(mapped), { group, volume });
    }),
  );
  assert.equal(splitVolumeName('alone').group, 'alone');
});
names.run();

const disks: DiskFixture[] = [
  vda(true),
  { name: 'vdb', device: '252:16', bus: 'virtio-blk', partitions: { vdb2: '252:18' } },
  { name: 'sda', device: '8:0', bus: 'virtio-scsi', readOnly: true, partitions: { sda2: '8:2' } },
];

interface Volumes {
  /** Links below /dev/block/immutafs. */
  links: string[];
  /** Maps devices to the output of lvm, "PV-UUID VG-UUID VG-NAME". */
  lvm: Record<string, string>;
  /** UUID of the volume on the writable disk according to udev's database. */
  uuid?: string;
  own?: string;
  devicesFile?: boolean;
  /** What `lvm dumpconfig` prints for each setting of devices. */
  filters?: Record<string, string>;
  /** Whether udev makes the last link of the sealed volume, and the entry of the other in its database, only later. */
  late?: boolean;
  cmdline?: string;
}

const sealedLink = 'by-uuid/sealed vda2';
const linked: Volumes = { links: ['lvm/vda2 vda2', 'unsealed-lvm/vdb2'], lvm: {} };

/** Runs lvm-config twice. */
function configure({
  links,
  lvm,
  uuid = 'other',
  own,
  devicesFile,
  filters = {},
  late = false,
  cmdline,
}: Volumes) {
  const entry = `S:disk/by-id/x+y\nS:disk/by-id/lvm-pv-uuid-u\nS:disk/by-partuuid/p\nE:ID_FS_TYPE=LVM2_member\nE:ID_FS_UUID_ENC=${uuid}\n`;
  const program: EarlyBoot['program'] = (root, words) => {
    if (words[0] === 'udevadm') {
      writeLater(root, entry);
      return '';
    }
    if (words[1] === 'dumpconfig') return filters[words[2]?.replace('devices/', '') ?? ''];
    const asked = Object.keys(lvm).filter((name) => words.at(-1)?.includes(`"a|^/dev/${name}$|"`));
    assert.match(words.at(-1) ?? '', /, "r\|\.\*\|" \] \}/);
    return asked.map((name) => (lvm[name] ?? '').replace(/^/gm, '  ')).join('\n');
  };
  const ran = inEarlyBoot(
    {
      ...(cmdline === undefined ? {} : { cmdline }),
      ...{ devices: disks, program, links: late ? links : [...links, sealedLink] },
      files: {
        ...(late ? { 'run/udev/queue': '' } : { 'run/udev/data/b252:18': entry }),
        ...(own === undefined ? {} : { 'etc/lvm/lvmlocal.conf': own }),
        ...(devicesFile === true ? { 'etc/lvm/devices/system.devices': '' } : {}),
      },
    },
    ['lvm-config'],
    ['lvm-config'],
  );
  assert.equal([ran.code, ran.stdout], [0, '']);
  return {
    programs: ran.programs,
    initramfs: ran.after('etc/lvm/lvmlocal.conf'),
    groups: ran.after('run/immutafs/lvm-read-only'),
    impostors: ran.after('run/immutafs/impostors'),
  };
}

function writeLater(root: string, entry: string): void {
  fs.mkdirSync(path.join(root, 'run/udev/data'), { recursive: true });
  fs.writeFileSync(path.join(root, 'run/udev/data/b252:18'), entry);
  linkDevice(root, 'block/immutafs/by-uuid/sealed', 'vda2');
  fs.rmSync(path.join(root, 'run/udev/queue'));
}

const group = { vda2: 'sealed group rhel' };
const rejected = (more = '', setting = 'global_filter') =>
  `# immutafs: these pose as sealed physical volumes\ndevices {\n\t${setting} = [ "r|^/dev/vdb2$|", "r|^/dev/disk/by-id/x.y$|"${more} ]\n}\n`;
const readOnly =
  '# immutafs: the host made these read-only\nactivation {\n\tread_only_volume_list = [ "rhel" ]\n}\n';

const test = suite('LVM in the initramfs');
for (const [title, volumes, expected, noted] of [
  [
    'a copy of a sealed volume',
    { lvm: { ...group, vdb2: 'sealed group rhel' }, uuid: 'sealed' },
    rejected(),
    'UUID=sealed',
  ],
  ['another group of the same name', { lvm: { ...group, vdb2: 'other theirs rhel' } }, rejected(), 'VG=rhel'],
  ['the same group by another name', { lvm: { ...group, vdb2: 'other group evil' } }, rejected(), 'VG=rhel'],
  [
    'a copy while udev is still busy with it and with the sealed volume',
    { lvm: { ...group, vdb2: 'sealed group rhel' }, uuid: 'sealed', late: true },
    rejected(),
    'UUID=sealed',
  ],
  [
    'a copy of a sealed volume, with immutafs=off',
    { lvm: { ...group, vdb2: 'sealed group rhel' }, uuid: 'sealed', cmdline: 'ro immutafs=off' },
    undefined,
    undefined,
  ],
  ['a group for data', { lvm: { ...group, vdb2: 'other theirs data' } }, undefined, undefined],
  ['a volume in no group', { lvm: { ...group, vdb2: 'other' } }, undefined, undefined],
  [
    'a member of the sealed group',
    { lvm: { vda2: 'sealed group rhel\nother group rhel', vdb2: 'other group rhel' } },
    undefined,
    undefined,
  ],
  [
    'the configuration of the administrator is kept',
    {
      lvm: { ...group, vdb2: 'other theirs rhel' },
      own: 'local {\n}\n',
      filters: { global_filter: 'global_filter=["r|x|","r|y|"]\n' },
    },
    `local {\n}\n${rejected(', "r|x|","r|y|"')}`,
    'VG=rhel',
  ],
  [
    'a filter with one pattern, and a file without a line feed at its end',
    {
      lvm: { ...group, vdb2: 'other theirs rhel' },
      own: 'local {\n}',
      filters: { global_filter: 'global_filter="r|x|"\n' },
    },
    `local {\n}\n${rejected(', "r|x|"')}`,
    'VG=rhel',
  ],
  [
    'a global_filter that accepts names',
    {
      lvm: { ...group, vdb2: 'other theirs rhel' },
      filters: { global_filter: 'global_filter=["r|x|","a|.*|"]\n', filter: 'filter=["r|y|"]\n' },
    },
    rejected(', "r|y|"', 'filter'),
    'VG=rhel',
  ],
  [
    'both filters accept names',
    {
      lvm: { ...group, vdb2: 'other theirs rhel' },
      filters: { global_filter: 'global_filter="a|.*|"\n', filter: 'filter=["a|y|"]\n' },
    },
    rejected('', 'filter'),
    'VG=rhel',
  ],
  [
    'a devices file, which overrides the filter',
    { lvm: { ...group, vdb2: 'other theirs rhel' }, devicesFile: true },
    `${rejected()}devices {\n\tuse_devicesfile = 0\n}\n`,
    'VG=rhel',
  ],
] as [string, Partial<Volumes>, string | undefined, string | undefined][]) {
  test(title, () => {
    const { initramfs, groups, impostors } = configure({ ...linked, ...volumes });
    assert.equal([initramfs, groups], [expected, undefined]);
    assert.is(impostors, noted === undefined ? undefined : `IMPOSTOR=/dev/vdb2 /dev/vda2 ${noted}\n`);
  });
}
for (const [title, volumes, expected] of [
  [
    'the groups on a read-only SCSI disk',
    { links: ['lvm/sda2 sda2'], lvm: { sda2: 'sealed group rhel\nsealed2 group rhel' } },
    readOnly,
  ],
  [
    'an existing configuration is kept',
    { links: ['lvm/sda2 sda2'], lvm: { sda2: 'sealed group rhel' }, own: 'devices {\n}\n' },
    `devices {\n}\n${readOnly}`,
  ],
  [
    'the groups on a read-only SCSI disk that is not sealed',
    { links: ['read-only-lvm/sda2 sda2'], lvm: { sda2: 'other theirs rhel' } },
    readOnly,
  ],
  [
    'a copy of a SCSI disk',
    {
      links: ['lvm/sda2 sda2', 'unsealed-lvm/vdb2 vdb2'],
      lvm: { sda2: 'sealed group rhel', vdb2: '' },
      uuid: 'sealed',
    },
    readOnly + rejected(),
  ],
] as [string, Volumes, string][]) {
  test(title, () => {
    const { initramfs, groups } = configure(volumes);
    assert.equal([initramfs, groups], [expected, 'rhel\n']);
  });
}
test('nothing is sealed, or a virtual disk alone, or beside a device without a label: lvm does not run', () => {
  for (const links of [['unsealed-lvm/vdb2'], ['lvm/vda2 vda2'], ['lvm/vda2 vda2', 'unsealed/vdb2']]) {
    const { initramfs, programs } = configure({ links, lvm: {} });
    assert.equal([initramfs, programs], [undefined, []]);
  }
});
test.run();

const local = suite('LVM in the real root');
const volume = (name: string, uuid: string, readOnlyDisk = true): EarlyBoot => ({
  devices: [
    vda(readOnlyDisk),
    { name: 'dm-0', device: '253:0', on: ['vda2'], dm: { name, uuid } },
    { name: 'dm-1', device: '253:1', on: ['vda2'], dm: { name: 'x', uuid: 'CRYPT-x' } },
  ],
});
const listed =
  '# immutafs: the host made these read-only\nactivation {\n\tread_only_volume_list = [ "my-vg/root" ]\n}\n';
for (const [title, given, mode, expected] of [
  ['the active volumes on read-only disks', volume('my--vg-root', 'LVM-x'), 'sealed', listed],
  ['the parts of a volume are not listed', volume('my--vg-root_rmeta_0', 'LVM-x-rmeta'), 'sealed', undefined],
  ['a volume on a writable disk', volume('my--vg-root', 'LVM-x', false), 'sealed', undefined],
  ['in maintenance, only the filter', volume('my--vg-root', 'LVM-x'), 'maintenance', undefined],
  [
    'the configuration of the administrator is kept',
    {
      ...volume('my--vg-root', 'LVM-x'),
      files: { 'sysroot/etc/lvm/lvmlocal.conf': 'config {\n}\n' },
    },
    'sealed',
    `config {\n}\n${listed}`,
  ],
  [
    'a filter, and the devices file of the root',
    {
      files: {
        'run/immutafs/lvm-filter': 'filter = [ "r|x|" ]\n',
        'sysroot/etc/lvm/devices/system.devices': '',
      },
    },
    'maintenance',
    '# immutafs: these pose as sealed physical volumes\ndevices {\n\tfilter = [ "r|x|" ]\n}\ndevices {\n\tuse_devicesfile = 0\n}\n',
  ],
  [
    'a filter alone',
    { files: { 'run/immutafs/lvm-filter': 'filter = [ "r|x|" ]\n' } },
    'maintenance',
    '# immutafs: these pose as sealed physical volumes\ndevices {\n\tfilter = [ "r|x|" ]\n}\n',
  ],
] as [string, EarlyBoot, string, string | undefined][]) {
  local(title, () => {
    const conf = mode === 'sealed' ? 'MODE=sealed\n' : '';
    const files = {
      'sysroot/etc/lvm/lvmlocal.conf': '',
      ...{ 'sysroot/etc/immutafs/immutafs.conf': conf, ...given.files },
    };
    const ran = inEarlyBoot({ ...given, files }, ['initramfs', '/sysroot']);
    assert.is(ran.after('run/immutafs/lvmlocal.conf'), expected);
    const bound = 'bind /run/immutafs/lvmlocal.conf /sysroot/etc/lvm/lvmlocal.conf';
    assert.is(ran.mounts.includes(bound), expected !== undefined);
  });
}
for (const own of [undefined, 'older {\n}\n'])
  local(
    `on a SCSI disk, the file of the root counts, not that of the initramfs${own === undefined ? ', which has none' : ''}`,
    () => {
      const ran = inEarlyBoot(
        {
          devices: disks,
          links: ['lvm/sda2 sda2', sealedLink],
          program: () => '  sealed group rhel',
          files: {
            ...(own === undefined ? {} : { 'etc/lvm/lvmlocal.conf': own }),
            'sysroot/etc/lvm/lvmlocal.conf': 'local {\n}\n',
            'sysroot/etc/immutafs/immutafs.conf': 'MODE=sealed\n',
          },
        },
        ['lvm-config'],
        ['initramfs', '/sysroot'],
      );
      assert.is(ran.after('etc/lvm/lvmlocal.conf'), `${own ?? ''}${readOnly}`);
      assert.is(ran.after('run/immutafs/lvmlocal.conf'), `local {\n}\n${readOnly}`);
    },
  );
local.run();

const early = suite('the volumes of a sealed boot');
/** The disk of the root, with the volumes of its group that are active. */
const withVolumes = (...readOnlyStates: boolean[]): EarlyBoot => ({
  devices: [
    vda(true),
    ...readOnlyStates.map((isReadOnly, index) => ({
      ...{ name: `dm-${index}`, device: `253:${index}`, on: ['vda2'], readOnly: isReadOnly },
      dm: { name: `rhel-${index}`, uuid: `LVM-${index}` },
    })),
  ],
  links: ['lvm/vda2 vda2'],
});
/** Returns what the initramfs ran beside `pvs`, and the link that the activation made. */
function activated(given: EarlyBoot, fstab: string, config = 'MODE=sealed\n', groups = 'rhel') {
  const { programs, after } = inEarlyBoot(
    {
      program: (root, [, verb]) => {
        if (verb === 'vgchange') linkDevice(root, 'mapper/rhel-opt', 'dm-0');
        return verb === 'pvs' ? groups.replace(/^/gm, '  pv uuid ') : '';
      },
      ...given,
      files: {
        'sysroot/etc/fstab': fstab,
        'sysroot/etc/lvm/lvmlocal.conf': '',
        'sysroot/etc/immutafs/immutafs.conf': config,
        ...given.files,
      },
    },
    ['initramfs', '/sysroot'],
  );
  return {
    programs: programs.filter((each) => !each.startsWith('lvm pvs')),
    isUsed: /^MODE=/m.test(after('run/immutafs/boot.env') ?? ''),
  };
}
const activation = (groups: string, list: string) =>
  `lvm vgchange -ay --sysinit --config devices { use_devicesfile = 0 filter = [ "a|.*|" ] global_filter = [ "a|^/dev/vda2$|", "r|.*|" ] } global { use_lvmetad = 0 } activation { activation_mode = "complete" read_only_volume_list = [ ${list} ] } ${groups}`;
const opt = '/dev/mapper/rhel-opt /opt xfs ro 0 0\n';
for (const [title, given, fstab, expected] of [
  ['one of fstab is not active', withVolumes(true), opt, [activation('rhel', '"rhel"')]],
  ['one is not read-only', withVolumes(true, false), '', [activation('rhel', '"rhel"')]],
  [
    'all are active and read-only',
    withVolumes(true, true),
    '/dev/vda1 /opt xfs ro 0 0\ntmpfs /t tmpfs\n',
    [],
  ],
  ['no physical volume is sealed', { ...withVolumes(true), links: ['unsealed-lvm/vda2 vda2'] }, opt, []],
  ['lvm fails', { ...withVolumes(false), program: () => undefined }, opt, []],
] as [string, EarlyBoot, string, string[]][]) {
  early(title, () => {
    const { programs, isUsed } = activated(given, fstab);
    assert.equal([programs, isUsed], [expected, true]);
  });
}
early('of several groups', () => {
  const { programs } = activated(withVolumes(true), opt, undefined, 'rhel\ndata\nrhel');
  assert.equal(programs, [activation('rhel data', '"rhel", "data"')]);
});
early('in maintenance, none is activated', () => {
  assert.equal(activated(withVolumes(false), opt, '').programs, []);
});
early.run();
