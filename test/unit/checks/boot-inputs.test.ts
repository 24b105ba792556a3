import { type Change, all, file, handoff, mount, without } from '../../harness/changes.ts';
import { bootOrder, hardDrive, loadOption, variable } from '../../harness/efi.ts';
import { testFindings } from '../../harness/finding.ts';

const cmdline = (words: string): Change => file('proc/cmdline', `root=/dev/mapper/rhel-root ro ${words}\n`);
const efivars = 'sys/firmware/efi/efivars';
const global = '8be4df61-93ca-11d2-aa0d-00e098032b8c';
const systemd = '8cf2644b-4b0b-428f-9387-6d876050dc67';
const loader = '4a67b082-0a4c-41cf-b6c7-440b29bb8c4f';
const sealedEsp = '11111111-2222-3333-4444-555555555555';
const foreignEsp = '0f5a1c2d-3344-4566-8899-aabbccddeeff';
const esp = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b';

const udev = (device: string, properties: Record<string, string>): Change =>
  file(
    `run/udev/data/b${device}`,
    Object.entries(properties)
      .map(([name, value]) => `E:${name}=${value}\n`)
      .join(''),
  );

/** An ext4 on a disk of its own, mounted twice. */
const data = (options: string): Change =>
  all(
    (guest) => {
      guest.devices.push({ name: 'vdc', device: '252:32', bus: 'virtio-blk' });
    },
    mount('data', `252:32 / /data rw,nosuid,nodev - ext4 /dev/vdc ${options}`),
    mount('kept', `252:32 /x /srv/x rw,nosuid,nodev - ext4 /dev/vdc ${options}`),
  );

/** An ESP on the sealed disk, vda1, and a second disk with one partition, vdb1. */
const disks: Change = all(
  (guest) => {
    guest.devices[1] = { name: 'vdb', device: '252:16', bus: 'virtio-blk', partitions: { vdb1: '252:17' } };
  },
  udev('252:1', { ID_PART_ENTRY_UUID: sealedEsp, ID_PART_ENTRY_TYPE: esp }),
  udev('252:17', {
    ID_PART_ENTRY_UUID: foreignEsp,
    ID_PART_ENTRY_TYPE: '0fc63daf-8483-4772-8e79-3d69d8477de4',
  }),
);
const mounted = (options: string): Change =>
  mount('efivars', `0:30 / /${efivars} ${options} shared:9 - efivarfs efivarfs rw`);
const setTo = (name: string, data: Buffer): Change => file(`${efivars}/${name}-${global}`, variable(data));
const entries = {
  sealed: loadOption('Red Hat Enterprise Linux', [hardDrive({ gpt: sealedEsp })]),
  foreign: loadOption('evil', [hardDrive({ gpt: foreignEsp })]),
  card: loadOption('UEFI PXEv4', [Buffer.from([1, 1, 6, 0, 0, 3])]),
};

/** Makes the guest boot by UEFI with efivarfs mounted, and applies changes such as further variables. */
const uefi = (words: string, ...changes: Change[]): Change =>
  all(
    disks,
    cmdline(words),
    mounted('rw,nosuid,nodev,noexec,relatime'),
    file('sys/firmware/efi/fw_platform_size', '64\n'),
    setTo('SecureBoot', Buffer.from([0])),
    setTo('BootOrder', bootOrder(1, 2, 3)),
    setTo('Boot0001', entries.sealed),
    setTo('Boot0002', entries.foreign),
    setTo('Boot0003', entries.card),
    ...changes,
  );

const grub = 'boot/grub2/grub.cfg';
const menu = (words: string) =>
  `menuentry 'RHEL' {\n\tlinux16 /vmlinuz-3.10.0 root=/dev/mapper/rhel-root ro ${words}\n}\n`;
const search = 'search --no-floppy --fs-uuid --set=root';
const block = (hint: string) =>
  `if [ x$feature_platform_search_hint = xy ]; then\n  ${search} ${hint} 1f5a\nelse\n  ${search} 1f5a\nfi\n`;

const byPrepare = /^While the disk is writable: immutafs-agent prepare --apply --only boot\.$/;

const byHost = (change: string) =>
  new RegExp(`^This guest has no menu of GRUB\\. .*<cmdline>.*: ${change}\\.$`);

testFindings('boot-inputs', {
  'as prepared, by BIOS': [cmdline('noresume'), 'pass: noresume; BIOS boot'],
  'no noresume': [
    all(cmdline('quiet'), file(grub, menu('noresume'))),
    ['warn: the kernel command line has no noresume', byPrepare],
  ],
  'no noresume, and no GRUB': [
    cmdline('quiet'),
    ['warn: the kernel command line has no noresume', byHost('add noresume')],
  ],
  'resume=, and no GRUB': [
    cmdline('resume=UUID=1'),
    [
      'fail: the kernel command line has resume=UUID=1 and no noresume',
      byHost('remove resume=, and add noresume'),
    ],
  ],
  'UEFI without noefi, and no GRUB': [uefi('noresume'), ['warn: no noefi', byHost('add noefi')]],
  'the superblock of a writable ext4 says errors=panic': [
    all(cmdline('noresume'), data('rw'), file('proc/fs/ext4/vdc/options', 'rw\nerrors=panic\n')),
    /^warn: \/data has errors=panic/,
  ],
  'a mount option replaces it': [
    all(cmdline('noresume'), data('rw'), file('proc/fs/ext4/vdc/options', 'rw\nerrors=remount-ro\n')),
    'pass',
  ],
  'the mount option itself, and no list of the kernel': [
    all(cmdline('noresume'), data('rw,errors=panic')),
    /^warn: \/data has errors=panic/,
  ],
  'a file system that is not writable': [cmdline('noresume'), data('ro,errors=panic'), 'pass'],
  'resume= without noresume': [
    cmdline('resume=/dev/mapper/rhel-swap'),
    'fail: has resume=/dev/mapper/rhel-swap and no noresume',
  ],
  'resume= with noresume': [cmdline('resume=UUID=1 noresume'), 'pass'],
  'an argument that only begins with noresume': [cmdline('noresume=1'), 'warn'],
  'UEFI as prepared: the sealed disk first': [uefi('noresume noefi'), 'pass: Secure Boot off'],
  'with efi=noruntime': [uefi('noresume efi=debug,noruntime'), 'pass'],
  'UEFI without noefi': [uefi('noresume'), 'warn: no noefi: EFI variables are writable'],
  'efi=runtime after it': [uefi('noresume noefi efi=runtime'), 'warn: no noefi'],
  'efivarfs mounted read-only': [
    uefi('noresume', mounted('ro,nosuid')),
    'warn: no noefi: EFI variables are read-only',
  ],
  'efivarfs not mounted': [
    all(uefi('noresume'), without('efivars')),
    'warn: no noefi: EFI variables are unmounted',
  ],
  'Secure Boot is shown': [
    uefi('noresume noefi', setTo('SecureBoot', Buffer.from([1]))),
    'pass: Secure Boot on',
  ],
  'the first entry is on a writable disk': [
    uefi('noresume noefi', setTo('BootOrder', bootOrder(2, 1))),
    'fail: BootOrder: Boot0002 "evil" starts from vdb1, which is writable',
  ],
  'the entry on a writable disk follows an entry without a disk': [
    uefi('noresume noefi', setTo('BootOrder', bootOrder(3, 2, 1))),
    'fail',
  ],
  'the entry on a writable disk is not active': [
    uefi(
      'noresume noefi',
      setTo('BootOrder', bootOrder(2, 1)),
      setTo('Boot0002', loadOption('evil', [hardDrive({ gpt: foreignEsp })], { active: false })),
    ),
    'pass',
  ],
  'BootNext names the entry on a writable disk': [
    uefi('noresume noefi', setTo('BootNext', bootOrder(2))),
    'fail: BootNext: Boot0002 "evil"',
  ],
  'a copy of the sealed partition': [
    uefi('noresume noefi', udev('252:17', { ID_PART_ENTRY_UUID: sealedEsp })),
    'fail: Boot0001 "Red Hat Enterprise Linux" starts from vdb1',
  ],
  'an entry that does not exist': [uefi('noresume noefi', setTo('BootOrder', bootOrder(9, 1))), 'pass'],
  'a variable that is malformed': [
    uefi('noresume noefi', setTo('Boot0001', Buffer.from([1, 0, 0]))),
    'error: an EFI boot entry is too short: 3 bytes',
  ],
  SystemdOptions: [
    uefi('noresume noefi', file(`${efivars}/SystemdOptions-${systemd}`, variable(Buffer.from('x\0')))),
    'fail: EFI variable SystemdOptions is set, and systemd reads it',
  ],
  'SystemdOptions, hidden by the initramfs': [
    uefi(
      'noresume',
      mount('hidden', `0:31 / /${efivars} ro,nosuid,nodev,noexec - tmpfs immutafs ro,size=4k`),
    ),
    /^fail: EFI variable SystemdOptions is set; the initramfs has hidden all EFI variables/,
  ],
  HibernateLocation: [
    uefi('noresume noefi', file(`${efivars}/HibernateLocation-${systemd}`, variable(Buffer.from('x\0')))),
    'fail: HibernateLocation',
  ],
  "systemd-boot's": [
    uefi('noresume noefi', file(`${efivars}/LoaderEntryOneShot-${loader}`, variable(Buffer.from('x\0')))),
    'warn: LoaderEntryOneShot is set, and systemd-boot reads it',
  ],
  'a writable disk with an EFI system partition': [
    all(disks, udev('252:17', { ID_PART_ENTRY_TYPE: esp })),
    ['warn: vdb1 is bootable and writable', /^On the host: give boot order 1 to the system disk alone\.$/],
  ],
  'a writable disk with an active MBR partition': [
    all(disks, udev('252:17', { ID_PART_ENTRY_TYPE: '0x83', ID_PART_ENTRY_FLAGS: '0x80' })),
    'warn: vdb1 is bootable',
  ],
  'the EFI system partition is mounted from a writable disk': [
    all(disks, mount('esp', '252:17 / /boot/efi rw,relatime shared:40 - vfat /dev/vdb1 rw')),
    [
      'fail: /boot/efi is on vdb, which is writable',
      /^On the host: make the disk vdb read-only; or move \/boot\/efi to the system disk\.$/,
    ],
  ],
  'a menu entry without noresume': [
    file(grub, menu('quiet')),
    'warn: menu entries without noresume: /vmlinuz-3.10.0',
  ],
  'several problems: each remedy once': [cmdline('quiet'), file(grub, menu('quiet')), ['warn', byPrepare]],
  'menu entries as prepared': [file(grub, menu('noresume')), 'pass'],
  'an entry of the boot loader specification': [
    file('boot/loader/entries/1.conf', 'title RHEL 9\noptions root=/dev/x ro\n'),
    'warn: menu entries without noresume: RHEL 9',
  ],
  'an entry whose arguments are in grubenv': [
    file('boot/loader/entries/1.conf', 'title RHEL 8\noptions $kernelopts $tuned_params\n'),
    file('boot/grub2/grubenv', '# GRUB Environment Block\nkernelopts=root=/dev/x ro noresume\n####'),
    'pass',
  ],
  'a search on all disks': [
    file(grub, `${search} 1f5a\n`),
    [
      'warn: grub.cfg searches for a file system on all disks',
      /^While .*: in \/boot\/grub2\/grub\.cfg, add .* grub2-probe --target=hints_string \/boot prints/,
    ],
  ],
  'a search with --root-dev-only': [
    file(grub, 'search --no-floppy --root-dev-only --fs-uuid --set=dev 1f5a\n'),
    'pass',
  ],
  'a search with a hint, and one for a GRUB without hints': [
    file(grub, block("--hint='hd0,msdos1'")),
    'pass',
  ],
  'a search without a hint': [file(grub, block('')), 'warn'],
  'skipped with MODE=off': [
    all(cmdline('resume=/dev/x immutafs=off'), handoff({ MODE: 'off', VAR: 'disk', ASSEMBLED: undefined })),
    'skip',
  ],
});
