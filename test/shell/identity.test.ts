import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DiskFixture } from '../harness/sysfs.ts';
import { boot } from './boot.ts';
import { runInBox } from './box.ts';
import { shells } from './shells.ts';

/** Beside vda, which holds the root: what the host made read-only. Its node is a block device of this machine. */
const vdb: DiskFixture = {
  ...{ name: 'vdb', device: '252:16', bus: 'virtio-blk', offered: true },
  partitions: { vdb1: '252:17', vdb2: '252:18' },
};
const vdc: DiskFixture = { name: 'vdc', device: '252:32', bus: 'virtio-blk', partitions: { vdc2: '252:34' } };

/** Links of udev's to vdb1 and vdb2, as loop6 and loop7. What goes to the kernel's log is the answer's. */
const links = (...names: string[]) => `
  mkdir -p /dev/immutafs; mount -t tmpfs x /dev/immutafs
  touch /out/kmsg; mount --bind /out/kmsg /dev/kmsg
  ln -s "$(readlink /sys/class/block/vdb1)" /sys/class/block/loop6
  ln -s "$(readlink /sys/class/block/vdb2)" /sys/class/block/loop7
  ${names
    .map((name) => {
      const [link = '', node = '/dev/loop7'] = name.split(' ');
      return `mkdir -p "/dev/immutafs/${link.replace(/[^/]*$/, '')}"; ln -s ${node} "/dev/immutafs/${link}"`;
    })
    .join('\n')}`;

const udev = (device: string, ...lines: string[]) => ({
  [`run/udev/data/b${device}`]: lines.map((line) => `E:${line}\n`).join(''),
});
const root = udev('253:0', 'ID_FS_TYPE=xfs', 'ID_FS_UUID_ENC=root-uuid', 'ID_FS_LABEL_ENC=root');
const member = udev('252:2', 'ID_FS_TYPE=LVM2_member', 'ID_FS_UUID_ENC=pv', 'ID_PART_ENTRY_UUID=part');
const luks = udev('252:2', 'ID_FS_TYPE=crypto_LUKS', 'ID_FS_UUID_ENC=luks');
const cmdline = (text: string) => ({ 'proc/cmdline': `${text}\n` });
const small = {
  'sysroot/etc/immutafs/immutafs.conf': 'VAR_SIZE=8m\nVAR_INODES=5000\nON_IMPOSTOR=ignore\nMODE=off\n',
};

/** What lvm says of the sealed volumes. */
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
  'the UUID that is asked for is a sealed disk’s': [
    { files: cmdline('root=UUID=root-uuid'), links: ['by-uuid/root-uuid'] },
    'UUID=root-uuid',
  ],
  'likewise the label': [{ files: cmdline('root=LABEL=root'), links: ['by-label/root'] }, 'LABEL=root'],
  'likewise a link': [
    { files: cmdline('root=/dev/disk/by-partuuid/part'), links: ['by-partuuid/part'] },
    '/dev/disk/by-partuuid/part',
  ],
  'what is mounted has the UUID of a sealed file system': [
    { files: { ...cmdline('root=/dev/vda2'), ...root }, links: ['by-uuid/root-uuid'] },
    'UUID=root-uuid',
  ],
  'a physical volume under it has that of a sealed one': [
    { files: { ...cmdline('root=/dev/mapper/rhel-root'), ...root, ...member }, links: ['by-uuid/pv'] },
    'UUID=pv',
  ],
  'the partition under it likewise': [
    { files: { ...root, ...member }, links: ['by-partuuid/part'] },
    'PARTUUID=part',
  ],
  'a copied LUKS header': [{ files: { ...root, ...luks }, links: ['by-uuid/luks'] }, 'UUID=luks'],
  'no LUKS where a sealed one is asked for': [
    {
      files: { ...cmdline('root=UUID=root-uuid rd.luks.uuid=luks-abc'), ...root },
      links: ['by-uuid/abcdef'],
    },
    'LUKS=luks-abc',
  ],
  'no array where a sealed one is asked for': [
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
  'no LVM where a sealed group is asked for': [
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
  'another group of the same name, on what udev knows nothing of': [
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
  'an array of which the sealed member is whole alone': [
    {
      files: {
        ...root,
        ...udev('252:2', 'ID_FS_TYPE=linux_raid_member', 'ID_FS_UUID_ENC=array'),
        ...udev('252:18', 'ID_FS_TYPE=linux_raid_member', 'ID_FS_UUID_ENC=array'),
        'usr/sbin/mdadm': '#!/bin/bash\necho MD_DEVICES=1\n',
      },
      links: ['md/vdb2'],
    },
    'UUID=array',
  ],
};

const genuine: Record<string, Scenario> = {
  'the sealed disk': {
    disk: 'sealed',
    files: { ...cmdline('root=UUID=root-uuid'), ...root },
    links: ['by-uuid/root-uuid'],
  },
  'no disk is sealed': { files: { ...cmdline('root=UUID=root-uuid'), ...root, ...member } },
  'a sealed disk for data': {
    files: {
      ...cmdline('root=UUID=root-uuid rd.lvm.lv=rhel/root'),
      ...root,
      ...member,
      ...lvm(`data ${other} data`),
      ...lv(group, 'rhel-root'),
    },
    links: ['by-uuid/data', 'lvm/vdb2'],
  },
  'a sealed disk with the same label, which nothing asks for': {
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
  'an array that does': {
    files: {
      ...{ ...cmdline('root=UUID=root-uuid rd.md.uuid=array'), ...root },
      ...udev('252:2', 'ID_FS_TYPE=linux_raid_member', 'ID_FS_UUID_ENC=array'),
      ...udev('252:18', 'ID_FS_TYPE=linux_raid_member', 'ID_FS_UUID_ENC=array'),
      'usr/sbin/mdadm': '#!/bin/bash\necho MD_DEVICES=2\n',
    },
    links: ['md/vdb2'],
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

  const check = suite(`${name}: what is mounted as the root`);
  for (const [title, [scenario, identity]] of Object.entries(impostors)) {
    check(`${title}: the boot ends`, () => {
      const { code, made, bootEnv, after } = run(scenario);
      assert.is(code, 6, after);
      assert.ok(after.includes(`(${identity})`), after);
      assert.match(
        after,
        /^<2>immutafs: \/ is mounted from \/dev\/dm-0, which poses as \/dev\/(loop7|vdb2) /,
      );
      // Neither a mount nor a word of the impostor's configuration.
      assert.equal([made, bootEnv], [[], []]);
    });
  }
  for (const [title, scenario] of Object.entries(genuine)) {
    check(`${title}: the boot goes on`, () => {
      const { code, after, bootEnv } = run(scenario);
      assert.equal([code, after], [0, '']);
      assert.ok(bootEnv.includes('STAGE=initramfs'));
    });
  }
  check('ON_IMPOSTOR is the initramfs’s own, not the impostor’s', () => {
    const [scenario = {}]: [Scenario?, string?] = impostors['likewise the label'] ?? [];
    const files = { ...scenario.files, 'etc/immutafs/immutafs.conf': 'ON_IMPOSTOR=emergency\n' };
    assert.is(run({ ...scenario, files }).code, 5);
  });
  check('what udev has still to do is waited for', () => {
    const files = {
      ...cmdline('root=LABEL=root'),
      'run/udev/queue': '',
      'usr/bin/udevadm':
        '#!/bin/bash\necho "$@" >>/out/udevadm\nmkdir /dev/immutafs/by-label\nln -s /dev/loop7 /dev/immutafs/by-label/root\n',
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
  check('what was passed over is in boot.env', () => {
    const line = 'IMPOSTOR=/dev/vdb2 /dev/vda2 UUID=x';
    assert.ok(
      run({ disk: 'sealed', files: { 'run/immutafs/impostors': `${line}\n` } }).bootEnv.includes(line),
    );
  });
  check.run();
}

for (const [name, shell] of Object.entries(shells).filter(([each]) => !each.startsWith('busybox'))) {
  const choose = suite(`${name}: mount-readonly takes the sealed disk`);
  const mounted = (before: string, files: Record<string, string> = {}, arguments_ = 'root=UUID=u') =>
    runInBox({
      shell,
      devices: [{ ...vdc, name: 'vda', device: '252:0', partitions: { vda2: '252:2' } }, vdb],
      files: {
        'shims/mount': '#!/bin/bash\necho "$@" >>/out/mounts\n',
        'shims/lvm':
          '#!/bin/bash\necho "$@" >>/out/lvm\n[ "$1" != pvs ] || echo "pv vg rhel"\n[ "$1" != vgchange ] || ln -s /dev/loop7 /dev/immutafs/by-uuid/u\n',
        ...files,
        ...cmdline(arguments_),
      },
      // The usual link goes to the copy, on vda2.
      run: `${links('by-uuid/else')}
        ln -s "$(readlink /sys/class/block/vda2)" /sys/class/block/loop5
        mkdir -p /dev/disk; mount -t tmpfs x /dev/disk; mkdir /dev/disk/by-uuid; ln -s /dev/loop5 /dev/disk/by-uuid/u
        chmod +x /shims/*; PATH=/shims:$PATH; export PATH
        ${before}
        sh /usr/libexec/immutafs/mount-readonly; cp /run/immutafs/impostors /out/ 2>/dev/null`,
    }).out;
  const sealed = 'ln -s /dev/loop7 /dev/immutafs/by-uuid/u';
  const noted = 'IMPOSTOR=/dev/loop5 /dev/loop7 UUID=u\n';

  choose('where its link is there at once', () => {
    const { mounts, udevadm } = mounted(sealed);
    assert.equal([mounts, udevadm], ['-o ro /dev/loop7 /sysroot\n', undefined]);
  });
  choose('where udev has it after a while, and names the copy', () => {
    const wait = {
      'run/udev/queue': '',
      'shims/udevadm': `#!/bin/bash\necho "$@" >>/out/udevadm\n${sealed}\n`,
    };
    const out = mounted('', wait);
    assert.equal(
      [out['mounts'], out['udevadm'], out['impostors']],
      ['-o ro /dev/loop7 /sysroot\n', 'settle --timeout=25\n', noted],
    );
  });
  choose('where it is in a volume group that nothing has activated', () => {
    const out = mounted(
      'mkdir /dev/immutafs/lvm; ln -s /dev/loop6 /dev/immutafs/lvm/vdb1; chmod +x /usr/libexec/immutafs/lvm-readonly',
    );
    assert.equal([out['mounts'], out['impostors']], ['-o ro /dev/loop7 /sysroot\n', noted]);
    assert.match(out['lvm'] ?? '', /^vgchange -ay --sysinit rhel$/m);
  });
  choose('not with immutafs=off', () => {
    const out = mounted(
      'mkdir /dev/immutafs/lvm; ln -s /dev/loop6 /dev/immutafs/lvm/vdb1',
      {},
      'root=UUID=u immutafs=off',
    );
    assert.equal([out['mounts'], out['lvm']], [undefined, undefined]);
  });
  choose('no disk is sealed: left to systemd', () => {
    const out = mounted('');
    assert.equal([out['mounts'], out['impostors']], [undefined, undefined]);
  });
  choose.run();
}
