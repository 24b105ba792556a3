import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { boot } from './assemble-var.ts';
import { cmdline, links, vdb, vdc } from './sealed-disk.ts';
import { shells } from './shells.ts';

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
  links?: string[];
  before?: string;
}

const impostors: Record<string, [Scenario, string]> = {
  'a sealed disk has the requested UUID': [
    { files: cmdline('root=UUID=root-uuid'), links: ['by-uuid/root-uuid'] },
    'UUID=root-uuid',
  ],
  'likewise the label': [{ files: cmdline('root=LABEL=root'), links: ['by-label/root'] }, 'LABEL=root'],
  'likewise a link': [
    { files: cmdline('root=/dev/disk/by-partuuid/part'), links: ['by-partuuid/part'] },
    '/dev/disk/by-partuuid/part',
  ],
  'the mounted file system has the UUID of a sealed one': [
    { files: { ...cmdline('root=/dev/vda2'), ...root }, links: ['by-uuid/root-uuid'] },
    'UUID=root-uuid',
  ],
  'a physical volume under it has the UUID of a sealed one': [
    { files: { ...cmdline('root=/dev/mapper/rhel-root'), ...root, ...member }, links: ['by-uuid/pv'] },
    'UUID=pv',
  ],
  'the partition under it likewise': [
    { files: { ...root, ...member }, links: ['by-partuuid/part'] },
    'PARTUUID=part',
  ],
  'a copied LUKS header': [{ files: { ...root, ...luks }, links: ['by-uuid/luks'] }, 'UUID=luks'],
  'no LUKS, although a sealed one is requested': [
    {
      files: { ...cmdline('root=UUID=root-uuid rd.luks.uuid=luks-abc'), ...root },
      links: ['by-uuid/abcdef'],
    },
    'LUKS=luks-abc',
  ],
  'no array, although a sealed one is requested': [
    {
      files: {
        ...cmdline('root=UUID=root-uuid rd.md.uuid=ab:cd'),
        ...root,
        ...udev('252:18', 'ID_FS_TYPE=linux_raid_member', 'ID_FS_UUID_ENC=a-bcd'),
      },
      links: ['md/vdb2'],
    },
    'MD=ab:cd',
  ],
  'no LVM, although a sealed group is requested': [
    {
      files: { ...cmdline('root=UUID=root-uuid rd.lvm.lv=rhel/root'), ...root, ...lvm(`pv ${group} rhel`) },
      links: ['lvm/vdb2'],
    },
    'VG=rhel',
  ],
  'another group of the same name': [
    {
      files: { ...root, ...member, ...lvm(`sealed-pv ${group} rhel`), ...lv(other, 'rhel-root') },
      links: ['lvm/vdb2'],
    },
    'VG=rhel',
  ],
  'another group of the same name, on a device without udev data': [
    {
      files: { ...root, ...lvm(`sealed-pv ${group} rhel`), ...lv(other, 'rhel-root') },
      links: ['lvm/vdb2'],
    },
    'VG=rhel',
  ],
  'the same group by another name': [
    {
      files: { ...root, ...member, ...lvm(`sealed-pv ${group} rhel`), ...lv(group, 'evil-root') },
      links: ['lvm/vdb2'],
    },
    'VG=rhel',
  ],
  'an array that the sealed member alone completes': [
    {
      files: {
        ...root,
        ...udev('252:2', 'ID_FS_TYPE=linux_raid_member', 'ID_FS_UUID_ENC=array'),
        ...udev('252:18', 'ID_FS_TYPE=linux_raid_member', 'ID_FS_UUID_ENC=array'),
        'usr/sbin/mdadm': '#!/bin/bash\necho MD_DEVICES=1\n',
      },
      links: ['member/array/vdb2'],
    },
    'UUID=array',
  ],
  ...Object.fromEntries(
    ['linux_raid_member', 'btrfs'].map((type): [string, [Scenario, string]] => [
      `a ${type} that spans a sealed and a writable disk, and runs without the sealed member`,
      [
        {
          files: {
            ...root,
            ...udev('252:2', `ID_FS_TYPE=${type}`, 'ID_FS_UUID_ENC=array'),
            ...udev('252:18', `ID_FS_TYPE=${type}`, 'ID_FS_UUID_ENC=array'),
            'usr/sbin/mdadm': '#!/bin/bash\necho MD_DEVICES=2\n',
            'usr/bin/od': '#!/bin/bash\necho 2\n',
          },
          links: ['member/array/vdb2'],
          before: 'chmod +x /usr/bin/od',
        },
        'UUID=array',
      ],
    ]),
  ),
};

const genuine: Record<string, Scenario> = {
  'the sealed disk': {
    disk: 'sealed',
    files: { ...cmdline('root=UUID=root-uuid'), ...root },
    links: ['by-uuid/root-uuid'],
  },
  'no disk is sealed': { files: { ...cmdline('root=UUID=root-uuid'), ...root, ...member } },
  'a sealed data disk': {
    files: {
      ...cmdline('root=UUID=root-uuid rd.lvm.lv=rhel/root'),
      ...root,
      ...member,
      ...lvm(`data ${other} data`),
      ...lv(group, 'rhel-root'),
    },
    links: ['by-uuid/data', 'lvm/vdb2'],
  },
  'a sealed disk with the same label, which is not requested': {
    files: { ...cmdline('root=UUID=root-uuid'), ...root },
    links: ['by-label/root'],
  },
  'immutafs=off': {
    files: { ...cmdline('root=UUID=root-uuid immutafs=off'), ...root },
    links: ['by-uuid/root-uuid'],
  },
  'a group that spans a sealed and a writable disk': {
    files: {
      ...{ ...cmdline('root=/dev/mapper/rhel-root rd.lvm.lv=rhel/root'), ...root, ...member },
      ...{ ...lvm(`sealed-pv ${group} rhel`, `pv ${group} rhel`), ...lv(group, 'rhel-root') },
    },
    links: ['lvm/vdb2', 'by-uuid/sealed-pv'],
    before: alsoOnSealed,
  },
  'an array that spans a sealed and a writable disk': {
    files: {
      ...{ ...cmdline('root=UUID=root-uuid rd.md.uuid=array'), ...root },
      ...udev('252:2', 'ID_FS_TYPE=linux_raid_member', 'ID_FS_UUID_ENC=array'),
      ...udev('252:18', 'ID_FS_TYPE=linux_raid_member', 'ID_FS_UUID_ENC=array'),
      'usr/sbin/mdadm': '#!/bin/bash\necho MD_DEVICES=2\n',
    },
    links: ['member/array/vdb2'],
    before: alsoOnSealed,
  },
};

for (const [name, shell] of Object.entries(shells)) {
  const run = ({ disk = 'writable', files = {}, links: names = [], before = '' }: Scenario) =>
    boot({
      ...{ shell, disk, files: { ...small, ...files }, devices: [vdb, vdc] },
      before: `chmod +x /usr/sbin/lvm /usr/sbin/mdadm 2>/dev/null || true; ${links(...names)}\n${before}`,
      after: 'cat /out/kmsg',
    });

  const check = suite(`${name}: the device that is mounted as the root`);
  for (const [title, [scenario, identity]] of Object.entries(impostors)) {
    check(`${title}: the boot ends`, () => {
      const { code, made, bootEnv, after } = run(scenario);
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
    check(`${title}: the boot continues`, () => {
      const { code, after, bootEnv } = run(scenario);
      assert.equal([code, after], [0, '']);
      assert.ok(bootEnv.includes('STAGE=initramfs'));
    });
  }
  check('ON_IMPOSTOR is read in the initramfs, not from the impostor', () => {
    const [scenario = {}]: [Scenario?, string?] = impostors['likewise the label'] ?? [];
    const files = { ...scenario.files, 'etc/immutafs/immutafs.conf': 'ON_IMPOSTOR=emergency\n' };
    assert.is(run({ ...scenario, files }).code, 5);
  });
  check('the script waits for the queue of udev', () => {
    const files = {
      ...cmdline('root=LABEL=root'),
      'run/udev/queue': '',
      'usr/bin/udevadm':
        '#!/bin/bash\necho "$@" >>/out/udevadm\nmkdir /dev/block/immutafs/by-label\nln -s /dev/loop7 /dev/block/immutafs/by-label/root\n',
    };
    assert.is(run({ files, before: 'chmod +x /usr/bin/udevadm' }).code, 6);
  });
  check('a /usr that poses as the sealed one: the boot ends', () => {
    const files = {
      ...cmdline('root=LABEL=root'),
      'sysroot/etc/fstab': 'UUID=usr /usr xfs ro 0 0\n',
      'sysroot/usr/x': '',
    };
    const scenario = { disk: 'sealed', files, links: ['by-label/root', 'by-uuid/usr'] } as const;
    const usr = (on: string) => `
      truncate -s 8m /other; mkfs.ext4 -q /other; mount -t sysfs sys /sys; mount -o loop,ro /other /sysroot/usr; umount /sys
      ln -s "$(readlink /sys/class/block/${on})" "/sys/dev/block/$(mountpoint -d /sysroot/usr)"`;
    const { code, after } = run({ ...scenario, links: [...scenario.links], before: usr('vdc2') });
    assert.is(code, 6);
    assert.match(
      after,
      /^<2>immutafs: \/usr is mounted from \/dev\/vdc2, which poses as \/dev\/loop7 \(UUID=usr\)/,
    );
    assert.is(run({ ...scenario, links: [...scenario.links], before: usr('vdb2') }).code, 0);
  });
  check('impostors that were not used are in boot.env', () => {
    const line = 'IMPOSTOR=/dev/vdb2 /dev/vda2 UUID=x';
    assert.ok(
      run({ disk: 'sealed', files: { 'run/immutafs/impostors': `${line}\n` } }).bootEnv.includes(line),
    );
  });
  check.run();
}
