import * as assert from 'uvu/assert';
import type { DiskFixture } from '../harness/sysfs.ts';
import { runInSandbox } from './sandbox.ts';
import { type Shell, inShells, useShims } from './shells.ts';

/** Makes a udev link to a block device of this machine. The stub for lvm does not access the device. */
const device = (name: string, index: number) => `ln -s "/dev/loop${index}" "/dev/block/immutafs/${name}"`;

const disks: DiskFixture[] = [
  { name: 'vda', device: '252:0', bus: 'virtio-blk', offered: true, partitions: { vda2: '252:2' } },
  { name: 'vdb', device: '252:16', bus: 'virtio-blk', partitions: { vdb2: '252:18' } },
  { name: 'sda', device: '8:0', bus: 'virtio-scsi', readOnly: true, partitions: { sda2: '8:2' } },
];

const linkSealed = device('by-uuid/sealed', 0);

interface Volumes {
  /** Kernel names of the sealed physical volumes, and of the other physical volumes. */
  sealed: string[];
  others: string[];
  /** SCSI disks that are read-only, but not sealed. */
  readOnly?: string[];
  /** Maps devices to the output of lvm, "PV-UUID VG-UUID VG-NAME". */
  lvm: Record<string, string>;
  /** UUID of the volume on the writable disk according to udev's database. */
  uuid?: string;
  own?: string;
  devicesFile?: boolean;
  filter?: string;
  /** Whether udev makes the last link of the sealed volume, and the entry of the other in its database, only later. */
  late?: boolean;
}

/**
 * Runs lvm-readonly twice. Returns the files that it wrote: the configuration of the initramfs and of the real root,
 * and the impostors.
 */
function runLvmReadonly(shell: Shell, volumes: Volumes) {
  const { sealed, others, lvm, uuid = 'other', own, devicesFile, filter = '', late = false } = volumes;
  const { readOnly: unsealed = [] } = volumes;
  const outputs = Object.entries(lvm).map(
    ([name, text]) =>
      `*'"a|^/dev/${name}$|"'*) printf '  %s\\n' ${text
        .split('\n')
        .map((line) => `'${line}'`)
        .join(' ')} ;;`,
  );
  const { code, out, stderr } = runInSandbox({
    shell,
    devices: disks,
    files: {
      'shims/lvm': `#!/bin/bash\necho "$1" >>/out/calls\ncase $* in ${outputs.join('\n')} dumpconfig*) echo '${filter}' ;; esac\n`,
      'shims/udevadm': `#!/bin/bash\nmv /run/udev/data/later /run/udev/data/b252:18\n${linkSealed}\nrm /run/udev/queue\n`,
      ...(late ? { 'run/udev/queue': '' } : {}),
      [`run/udev/data/${late ? 'later' : 'b252:18'}`]: `S:disk/by-id/x+y\nS:disk/by-id/lvm-pv-uuid-u\nS:disk/by-partuuid/p\nE:ID_FS_TYPE=LVM2_member\nE:ID_FS_UUID_ENC=${uuid}\n`,
      ...(own === undefined ? {} : { 'etc/lvm/lvmlocal.conf': own }),
      ...(devicesFile === true ? { 'etc/lvm/devices/system.devices': '' } : {}),
    },
    run: `mkdir -p /dev/block/immutafs; mount -t tmpfs x /dev/block/immutafs; mkdir /dev/block/immutafs/{lvm,read-only-lvm,unsealed-lvm,by-uuid}
      ${unsealed.map((name, index) => device(`read-only-lvm/${name}`, index + 2)).join('\n')}
      ${sealed.map((name, index) => device(`lvm/${name}`, index)).join('\n')}
      ${others.map((name, index) => device(`unsealed-lvm/${name}`, index + 4)).join('\n')}
      ${late ? '' : linkSealed}
      ${useShims}      sh /usr/libexec/immutafs/lvm-readonly && sh /usr/libexec/immutafs/lvm-readonly; code=$?
      cp /etc/lvm/lvmlocal.conf /out/etc 2>/dev/null; cp /run/immutafs/lvmlocal.conf /out/run 2>/dev/null
      cp /run/immutafs/impostors /out/impostors 2>/dev/null; exit $code`,
  });
  assert.is(code, 0, stderr);
  return out;
}

const rejected = (more = '') =>
  `# immutafs: these pose as sealed physical volumes\ndevices {\n\tglobal_filter = [ "r|^/dev/vdb2$|", "r|^/dev/disk/by-id/x.y$|"${more} ]\n}\n`;
const readOnly =
  '# immutafs: the host made these read-only\nactivation {\n\tread_only_volume_list = [ "rhel" ]\n}\n';
const group = { vda2: 'sealed group rhel' };
const both = { sealed: ['vda2'], others: ['vdb2'] };

inShells('lvm-readonly', (test, shell) => {
  for (const [title, volumes, etc, noted] of [
    [
      'a copy',
      { ...both, lvm: { ...group, vdb2: 'sealed group rhel' }, uuid: 'sealed' },
      rejected(),
      'UUID=sealed',
    ],
    [
      'another group of the same name',
      { ...both, lvm: { ...group, vdb2: 'other theirs rhel' } },
      rejected(),
      'VG=rhel',
    ],
    [
      'the same group by another name',
      { ...both, lvm: { ...group, vdb2: 'other group evil' } },
      rejected(),
      'VG=rhel',
    ],
    [
      'a copy while udev is still busy with it and with the sealed volume',
      { ...both, lvm: { ...group, vdb2: 'sealed group rhel' }, uuid: 'sealed', late: true },
      rejected(),
      'UUID=sealed',
    ],
    ['a group for data', { ...both, lvm: { ...group, vdb2: 'other theirs data' } }, undefined, undefined],
    ['a volume in no group', { ...both, lvm: { ...group, vdb2: 'other' } }, undefined, undefined],
    [
      'a member of the sealed group',
      { ...both, lvm: { vda2: 'sealed group rhel\nother group rhel', vdb2: 'other group rhel' } },
      undefined,
      undefined,
    ],
    [
      'the configuration of the administrator is kept',
      {
        ...both,
        lvm: { ...group, vdb2: 'other theirs rhel' },
        own: 'local {\n}\n',
        filter: 'global_filter=["a|x|","r|y|"]',
      },
      `local {\n}\n${rejected(', "a|x|","r|y|"')}`,
      'VG=rhel',
    ],
    [
      'a devices file, which overrides the filter',
      { ...both, lvm: { ...group, vdb2: 'other theirs rhel' }, devicesFile: true },
      `${rejected()}devices {\n\tuse_devicesfile = 0\n}\n`,
      'VG=rhel',
    ],
  ] as [string, Volumes, string | undefined, string | undefined][]) {
    test(title, () => {
      const out = runLvmReadonly(shell, volumes);
      assert.is(out['etc'], etc);
      assert.is(out['run'], undefined, 'assemble-var writes that of the real root');
      assert.is(
        out['impostors'],
        noted === undefined ? undefined : `IMPOSTOR=/dev/vdb2 /dev/vda2 ${noted}\n`,
      );
    });
  }
  for (const [title, own] of [
    ['the groups on a read-only SCSI disk', undefined],
    ['an existing configuration is kept', 'devices {\n}\n'],
  ] as const) {
    test(title, () => {
      const out = runLvmReadonly(shell, {
        sealed: ['sda2'],
        others: [],
        lvm: { sda2: 'sealed group rhel' },
        ...(own === undefined ? {} : { own }),
      });
      assert.is(out['etc'], (own ?? '') + readOnly);
      assert.is(out['run'], (own ?? '') + readOnly);
    });
  }
  test('the groups on a read-only SCSI disk that is not sealed', () => {
    const out = runLvmReadonly(shell, {
      ...{ sealed: [], others: [], readOnly: ['sda2'] },
      lvm: { sda2: 'other theirs rhel' },
    });
    assert.is(out['etc'], readOnly);
  });
  test('a copy of a SCSI disk', () => {
    const out = runLvmReadonly(shell, {
      sealed: ['sda2'],
      others: ['vdb2'],
      lvm: { sda2: 'sealed group rhel', vdb2: '' },
      uuid: 'sealed',
    });
    assert.is(out['run'], readOnly + rejected());
  });
  test('nothing is sealed: lvm does not run', () => {
    const out = runLvmReadonly(shell, { sealed: [], others: ['vdb2'], lvm: {} });
    assert.equal([out['etc'], out['calls']], [undefined, undefined]);
  });

  for (const [title, links, times] of [
    ['a sealed volume alone', ['lvm/vda2'], 0],
    ['an unsealed volume alone', ['unsealed-lvm/vdb2'], 0],
    ['both: once', ['lvm/vda2', 'unsealed-lvm/vdb2'], 1],
    ['a sealed volume on SCSI', ['lvm/sda2'], 1],
    ['a read-only volume on SCSI that is not sealed', ['read-only-lvm/sda2'], 1],
    ['none', [], 0],
  ] as const) {
    test(title, () => {
      const { out } = runInSandbox({
        shell,
        files: { job: '#!/bin/bash\necho x >>/out/jobs\n' },
        run: `mkdir -p /dev/block/immutafs; mount -t tmpfs x /dev/block/immutafs; mkdir /dev/block/immutafs/{lvm,read-only-lvm,unsealed-lvm}
          cp /job /usr/libexec/immutafs/lvm-readonly
          ${links.map((link, index) => device(link, index)).join('\n')}
          echo '. /usr/libexec/immutafs/95immutafs/immutafs-lvm.sh
            . /usr/libexec/immutafs/95immutafs/immutafs-lvm.sh' >/twice; sh /twice`,
      });
      assert.is(out['jobs'], times === 0 ? undefined : 'x\n');
    });
  }
});
