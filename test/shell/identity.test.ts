import * as assert from 'uvu/assert';
import { bootIn } from './assemble-var.ts';
import { cmdline, links, vdb, vdc } from './sealed-disk.ts';
import { breakImmutafsBoot, inShells } from './shells.ts';

const udev = (device: string, ...lines: string[]) => ({
  [`run/udev/data/b${device}`]: lines.map((line) => `E:${line}\n`).join(''),
});
const root = udev('253:0', 'ID_FS_TYPE=xfs', 'ID_FS_UUID_ENC=root-uuid', 'ID_FS_LABEL_ENC=root');
const member = udev('252:2', 'ID_FS_TYPE=LVM2_member', 'ID_FS_UUID_ENC=pv', 'ID_PART_ENTRY_UUID=part');
const luks = udev('252:2', 'ID_FS_TYPE=crypto_LUKS', 'ID_FS_UUID_ENC=luks');
const small = {
  'sysroot/etc/immutafs/immutafs.conf': 'VAR_SIZE=8m\nVAR_INODES=5000\nON_IMPOSTOR=ignore\nMODE=off\n',
};

/** Returns a stub for lvm that prints lines about the sealed volumes. */
const lvm = (...lines: string[]) => ({
  'usr/sbin/lvm': `#!/bin/bash\nprintf '  %s\\n' ${lines.map((line) => `'${line}'`).join(' ')}\n`,
});
const lv = (vg: string, name: string) => ({
  'sys/class/block/dm-0/dm/name': `${name}\n`,
  'sys/class/block/dm-0/dm/uuid': `LVM-${vg.replaceAll('-', '')}${'b'.repeat(32)}\n`,
});
const group = 'aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa';
const other = 'cccccc-cccc-cccc-cccc-cccc-cccc-cccccc';

const alsoOnSealed = 'ln -s /sys/class/block/vdb2 /sys/class/block/dm-0/slaves/vdb2';

interface Scenario {
  disk?: 'sealed' | 'writable';
  files?: Record<string, string>;
  links?: readonly string[];
  before?: string;
}

const arrays = (type: string, members: number) => ({
  ...udev('252:2', `ID_FS_TYPE=${type}`, 'ID_FS_UUID_ENC=array'),
  ...udev('252:18', `ID_FS_TYPE=${type}`, 'ID_FS_UUID_ENC=array'),
  'usr/sbin/mdadm': `#!/bin/bash\necho MD_DEVICES=${members}\n`,
  // The first superblock of a Btrfs, with the number of its devices.
  'dev/vdb2': `${'\0'.repeat(65672)}${String.fromCharCode(members)}${'\0'.repeat(7)}`,
});
const [byUuid, byName] = [cmdline('root=UUID=root-uuid'), cmdline('root=/dev/mapper/rhel-root')];
const rhel = lvm(`sealed-pv ${group} rhel`);
const alsoArray = udev('252:18', 'ID_FS_TYPE=linux_raid_member', 'ID_FS_UUID_ENC=a-bcd');
const asked = (words: string) => ({ ...cmdline(`root=UUID=root-uuid ${words}`), ...root });

/** Each with the files, a link to the sealed device, and the identity that both devices have. */
const impostors: readonly (readonly [string, Record<string, string>, string, string])[] = [
  ['a sealed disk has the requested UUID', byUuid, 'by-uuid/root-uuid', 'UUID=root-uuid'],
  ['likewise the label', cmdline('root=LABEL=root'), 'by-label/root', 'LABEL=root'],
  [
    'likewise a link',
    cmdline('root=/dev/disk/by-partuuid/part'),
    ...(['by-partuuid/part', '/dev/disk/by-partuuid/part'] as const),
  ],
  ['the mounted one', { ...cmdline('root=/dev/vda2'), ...root }, 'by-uuid/root-uuid', 'UUID=root-uuid'],
  ['a physical volume under it likewise', { ...byName, ...root, ...member }, 'by-uuid/pv', 'UUID=pv'],
  ['the partition under it likewise', { ...root, ...member }, 'by-partuuid/part', 'PARTUUID=part'],
  ['a copied LUKS header', { ...root, ...luks }, 'by-uuid/luks', 'UUID=luks'],
  ['no LUKS, although requested', asked('rd.luks.uuid=luks-abc'), 'by-uuid/abcdef', 'LUKS=luks-abc'],
  ['no array, although requested', { ...asked('rd.md.uuid=ab:cd'), ...alsoArray }, 'md/vdb2', 'MD=ab:cd'],
  [
    'no LVM, although a sealed group is requested',
    { ...asked('rd.lvm.lv=rhel/root'), ...lvm(`pv ${group} rhel`) },
    ...(['lvm/vdb2', 'VG=rhel'] as const),
  ],
  [
    'another group of the same name',
    { ...root, ...member, ...rhel, ...lv(other, 'rhel-root') },
    ...(['lvm/vdb2', 'VG=rhel'] as const),
  ],
  ['likewise, without udev data', { ...root, ...rhel, ...lv(other, 'rhel-root') }, 'lvm/vdb2', 'VG=rhel'],
  [
    'the same group by another name',
    { ...root, ...member, ...rhel, ...lv(group, 'evil-root') },
    ...(['lvm/vdb2', 'VG=rhel'] as const),
  ],
  [
    'an array that the sealed member alone completes',
    { ...root, ...arrays('linux_raid_member', 1) },
    ...(['member/array/vdb2', 'UUID=array'] as const),
  ],
  ...['linux_raid_member', 'btrfs'].map(
    (type) =>
      [
        `a ${type} that spans a sealed and a writable disk, and runs without the sealed member`,
        { ...root, ...arrays(type, 2) },
        ...(['member/array/vdb2', 'UUID=array'] as const),
      ] as const,
  ),
];

const genuine: Record<string, Scenario> = {
  'the sealed disk': { disk: 'sealed', files: { ...byUuid, ...root }, links: ['by-uuid/root-uuid'] },
  'no disk is sealed': { files: { ...byUuid, ...root, ...member } },
  'a sealed data disk': {
    files: {
      ...{ ...asked('rd.lvm.lv=rhel/root'), ...member },
      ...{ ...lvm(`data ${other} data`), ...lv(group, 'rhel-root') },
    },
    links: ['by-uuid/data', 'lvm/vdb2'],
  },
  'a sealed disk with the same label, which is not requested': {
    ...{ files: { ...byUuid, ...root }, links: ['by-label/root'] },
  },
  'immutafs=off': { files: asked('immutafs=off'), links: ['by-uuid/root-uuid'] },
  'a group that spans a sealed and a writable disk': {
    files: {
      ...{ ...cmdline('root=/dev/mapper/rhel-root rd.lvm.lv=rhel/root'), ...root, ...member },
      ...{ ...lvm(`sealed-pv ${group} rhel`, `pv ${group} rhel`), ...lv(group, 'rhel-root') },
    },
    ...{ links: ['lvm/vdb2', 'by-uuid/sealed-pv'], before: alsoOnSealed },
  },
  'an array that spans a sealed and a writable disk': {
    files: { ...asked('rd.md.uuid=array'), ...arrays('linux_raid_member', 2) },
    ...{ links: ['member/array/vdb2'], before: alsoOnSealed },
  },
};

inShells('the device that is mounted as the root', (test, shell) => {
  const boot = bootIn(shell);
  const run = ({ disk = 'writable', files = {}, links: names = [], before = '' }: Scenario) =>
    boot({
      ...{ disk, files: { ...small, ...files }, devices: [vdb, vdc] },
      before: `${links(...names)}\n${before}`,
      after: 'cat /out/kmsg',
    });

  for (const [title, files, link, identity] of impostors) {
    test(`${title}: the boot ends`, () => {
      const { code, made, bootEnv, after } = run({ files, links: [link] });
      assert.is(code, 6, after);
      assert.ok(after.includes(`(${identity})`), after);
      assert.match(
        after,
        /^<2>immutafs: \/ is mounted from \/dev\/dm-0, which poses as \/dev\/(loop7|vdb2) /,
      );
      // The command has made no mount and has used no configuration of the impostor.
      assert.equal([made, bootEnv], [[], []]);
    });
  }
  for (const [title, scenario] of Object.entries(genuine)) {
    test(`${title}: the boot continues`, () => {
      const { code, after, bootEnv } = run(scenario);
      assert.equal([code, after], [0, '']);
      assert.ok(bootEnv.includes('STAGE=initramfs'));
    });
  }
  test('without an answer of immutafs-boot, the boot ends if a disk is sealed, and else continues', () => {
    const files = { ...byUuid, ...root };
    const { code, bootEnv, after } = run({ files, links: ['by-uuid/other'], before: breakImmutafsBoot });
    assert.equal([code, bootEnv], [6, []]);
    assert.match(
      after,
      /^<2>immutafs: \/ is mounted from \/dev\/unknown, whose disks are unknown, because immutafs-boot failed/,
    );
    assert.is(
      run({
        files: { ...files, ...asked('immutafs=off') },
        links: ['by-uuid/other'],
        before: breakImmutafsBoot,
      }).code,
      0,
    );
    assert.is(run({ files, before: breakImmutafsBoot }).after, '');
  });
  test('ON_IMPOSTOR is read in the initramfs, not from the impostor', () => {
    const files = { ...cmdline('root=LABEL=root'), 'etc/immutafs/immutafs.conf': 'ON_IMPOSTOR=emergency\n' };
    assert.is(run({ files, links: ['by-label/root'] }).code, 5);
  });
  test('the script waits for the queue of udev', () => {
    const files = {
      ...cmdline('root=LABEL=root'),
      'run/udev/queue': '',
      'usr/bin/udevadm':
        '#!/bin/bash\necho "$@" >>/out/udevadm\nmkdir /dev/block/immutafs/by-label\nln -s /dev/loop7 /dev/block/immutafs/by-label/root\nrm /run/udev/queue\n',
    };
    assert.is(run({ files }).code, 6);
  });
  /** udev does not settle. The script waits 180 s at most. */
  const busy = {
    'run/udev/queue': '',
    'usr/bin/udevadm': '#!/bin/bash\necho "$@" >>/out/udevadm\nexit 1\n',
  };
  for (const [title, files, expected] of [
    ['powers off', {}, 6],
    ['ends in a shell', { 'etc/immutafs/immutafs.conf': 'ON_IMPOSTOR=emergency\n' }, 5],
  ] as const) {
    test(`udev does not settle, and the host did not make the root read-only: the boot ${title}`, () => {
      const { code, after, made } = run({ files: { ...byUuid, ...root, ...busy, ...files } });
      assert.is(code, expected, after);
      assert.match(
        after,
        /^<2>immutafs: \/ is mounted from \/dev\/dm-0, which the host did not make read-only, and udev was still busy after 180 s/,
      );
      assert.equal(made, []);
    });
  }
  test('udevadm succeeds although udev is still busy, as in systemd 219: the boot ends after 180 s', () => {
    const files = {
      ...{ ...byUuid, ...root, ...busy, 'proc/uptime': '9.00 1.00\n' },
      'usr/bin/udevadm':
        '#!/bin/bash\nread -r uptime _ </proc/uptime\necho "$((${uptime%.*} + 90)).00 1.00" >/proc/uptime\n',
    };
    assert.is(run({ files }).code, 6);
  });
  test('udev does not settle, and the root is on the sealed disk or the check is off: the boot continues', () => {
    const files = { ...byUuid, ...root, ...busy };
    assert.is(run({ disk: 'sealed', files, links: ['by-uuid/root-uuid'] }).code, 0);
    assert.is(run({ files: { ...files, ...asked('immutafs=off') } }).code, 0);
  });
  test('udev does not settle, and /usr is not on the sealed disk: the boot ends', () => {
    const files = {
      ...byUuid,
      ...busy,
      'sysroot/etc/fstab': 'UUID=usr /usr xfs ro 0 0\n',
      'sysroot/usr/x': '',
    };
    const before = `
      truncate -s 8m /other; mkfs.ext4 -q /other; mount -t sysfs sys /sys; mount -o loop,ro /other /sysroot/usr; umount /sys
      ln -s "$(readlink /sys/class/block/vdc2)" "/sys/dev/block/$(mountpoint -d /sysroot/usr)"`;
    const { code, after } = run({ disk: 'sealed', files, links: ['by-uuid/root-uuid'], before });
    assert.is(code, 6);
    assert.match(after, /^<2>immutafs: \/usr is mounted from \/dev\/vdc2, which the host did not/);
  });
  test('a /usr that poses as the sealed one: the boot ends', () => {
    const files = {
      ...cmdline('root=LABEL=root'),
      'sysroot/etc/fstab': 'UUID=usr /usr xfs ro 0 0\n',
      'sysroot/usr/x': '',
    };
    const scenario = { disk: 'sealed', files, links: ['by-label/root', 'by-uuid/usr'] } as const;
    const usr = (on: string) => `
      truncate -s 8m /other; mkfs.ext4 -q /other; mount -t sysfs sys /sys; mount -o loop,ro /other /sysroot/usr; umount /sys
      ln -s "$(readlink /sys/class/block/${on})" "/sys/dev/block/$(mountpoint -d /sysroot/usr)"`;
    const { code, after } = run({ ...scenario, before: usr('vdc2') });
    assert.is(code, 6);
    assert.match(
      after,
      /^<2>immutafs: \/usr is mounted from \/dev\/vdc2, which poses as \/dev\/loop7 \(UUID=usr\)/,
    );
    assert.is(run({ ...scenario, before: usr('vdb2') }).code, 0);
  });
  test('impostors that were not used are in boot.env', () => {
    const line = 'IMPOSTOR=/dev/vdb2 /dev/vda2 UUID=x';
    assert.ok(
      run({ disk: 'sealed', files: { 'run/immutafs/impostors': `${line}\n` } }).bootEnv.includes(line),
    );
  });
});
