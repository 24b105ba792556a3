/** Which seed a boot uses, and what it makes of it, in Node. test/packaging/seed.test.ts runs the executable. */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { targetOf } from '../../../boot/seed/files.ts';
import { runBoot } from '../../harness/boot-native.ts';
import { cdromInfo } from '../../harness/disk-scenarios.ts';
import { type DiskFixture, makeSysfs } from '../../harness/sysfs.ts';
import { inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';

const cdrom: DiskFixture = { name: 'sr0', device: '11:0', bus: 'ata', vendor: 'QEMU' };
const sealedDisk: DiskFixture = { name: 'vdc', device: '252:32', bus: 'virtio-blk', offered: true };
const writableDisk: DiskFixture = { name: 'vdb', device: '252:16', bus: 'virtio-blk' };
/** Root in the guest has set the flag of a disk. */
const flaggedDisk: DiskFixture = { ...writableDisk, readOnly: true };

const standard = { 'meta-data': 'instance-id: a\n', 'user-data': '#cloud-config\n' };
const overlays = ['/etc', '/var'].map((target) => `1 1 0:41 / ${target} rw - overlay immutafs rw\n`).join('');
const recorded = (mode: string, seed = '') =>
  `MODE=${mode}\nDISKS=vda:1:virtio-feature\n${seed && `SEED=${seed}\n`}`;
const begun = 'SEED=begun';

type Content = Record<string, string | { linkTo: string }>;

interface Case {
  /** The devices that have the label. */
  seeds?: readonly DiskFixture[];
  label?: string;
  type?: string;
  /** The files of each seed. */
  content?: Content;
  info?: string;
  mounts?: string;
  record?: string;
  cloudInit?: boolean;
  selinux?: boolean;
  /** Further files. */
  files?: Content;
  /** Devices without a seed. */
  others?: readonly DiskFixture[];
  command?: string[];
  /** Runs when a second has passed. */
  sleep?: (at: At, second: number) => void;
  /** Runs in place of udevadm(8). */
  udevadm?: (at: At) => void;
  /** The kernel refuses to make /etc read-only so often. */
  busy?: number;
  /** A file that cannot be written. */
  unwritable?: string;
  mountFails?: boolean;
  /** Inspects the guest afterwards. */
  after?: (at: At) => void;
}

type At = (name: string) => string;

/** Runs `seed` in a guest. */
function find({
  seeds = [cdrom],
  label = 'cidata',
  type = 'iso9660',
  content = standard,
  info = cdromInfo('sr0'),
  mounts = overlays,
  record = recorded('sealed'),
  cloudInit = true,
  selinux = false,
  files = {},
  others = [],
  command = ['seed'],
  sleep = () => undefined,
  udevadm = () => undefined,
  busy = 0,
  unwritable,
  mountFails = false,
  after = () => undefined,
}: Case) {
  return inTemporaryDirectory((root) => {
    const at: At = (name) => path.join(root, name);
    makeSysfs(root, [...seeds, ...others]);
    const label_ = `E:ID_FS_LABEL_ENC=${label}\nE:ID_FS_TYPE=${type}\n`;
    writeFiles(root, {
      'etc/immutafs/immutafs.conf': 'SEED_TIMEOUT=30\n',
      'proc/uptime': '10.00 5.00\n',
      'proc/sys/dev/cdrom/info': info,
      'proc/self/mountinfo': mounts,
      'proc/sys/kernel/hostname': '',
      'run/immutafs/boot.env': record,
      'etc/ssh/ssh_host_rsa_key': 'of the image',
      'etc/ssh/sshd_config': '',
      'var/lib/cloud/instances/x/sem/config_ssh': '',
      'var/lib/cloud/scripts/per-boot/own': '',
      ...(selinux ? { 'sys/fs/selinux/enforce': '1', 'usr/sbin/restorecon': '' } : {}),
      ...(cloudInit ? { 'usr/lib/systemd/system/cloud-init-local.service': '' } : {}),
      ...Object.fromEntries(seeds.map(({ device }) => [`run/udev/data/b${device}`, label_])),
      ...Object.fromEntries([...seeds, ...others].map(({ name }) => [`dev/${name}`, ''])),
      ...Object.fromEntries(Object.entries(content).map(([name, text]) => [`content/${name}`, text])),
      ...files,
    });
    const calls: string[] = [];
    let [seconds, refusals] = [0, busy];
    const mountPoint = at('run/immutafs/seed/mount');
    const { code, stderr } = runBoot(root, command, {
      sleep: () => {
        const now = Number(fs.readFileSync(at('proc/uptime'), 'utf8').split('.')[0]);
        fs.writeFileSync(at('proc/uptime'), `${now + 1}.00 5.00\n`);
        sleep(at, ++seconds);
      },
      mountAt: (_, source, fileSystem, flags) => {
        assert.match(source, /^\/proc\/self\/fd\/\d+$/);
        if (mountFails) throw Object.assign(new Error('Invalid argument'), { code: 'EINVAL' });
        calls.push(`mount ${fileSystem} ${flags}`);
        fs.cpSync(at('content'), mountPoint, { recursive: true, verbatimSymlinks: true });
      },
      detach: (target) => {
        calls.push(`detach ${target}`);
      },
      remount: () => {
        if (refusals-- > 0) throw Object.assign(new Error('Device or resource busy'), { code: 'EBUSY' });
        calls.push('freeze');
      },
      run: (...words) => {
        calls.push(words.join(' '));
        return '';
      },
      supervise: (_, __, ...words) => {
        calls.push(words.join(' '));
        if (words[0] === 'udevadm') udevadm(at);
        if (words[0] === 'rm') for (const each of words.slice(3)) fs.rmSync(at(each), { recursive: true });
        return '0 ';
      },
      ...(unwritable === undefined
        ? {}
        : {
            copyFile: () => {
              throw Object.assign(new Error('No space left on device'), { code: 'ENOSPC' });
            },
          }),
    });
    fs.rmSync(mountPoint, { recursive: true, force: true });
    after(at);
    const copy = at('run/immutafs/seed/nocloud');
    const has = (name: string) => fs.existsSync(at(name));
    return {
      ...{ code, stderr, calls, seconds, copy: fs.existsSync(copy) ? fs.readdirSync(copy) : [] },
      records: fs
        .readFileSync(at('run/immutafs/boot.env'), 'utf8')
        .split('\n')
        .filter((line) => line.startsWith('SEED')),
      isReady: has('run/immutafs/seed/ready'),
      sum: checksum([copy, at('run/immutafs/seed/files')]),
    };
  });
}

/** What `(cd nocloud; sha256sum *; cd ../files; sha256sum *) | sha256sum` prints. */
function checksum(folders: readonly string[]): string {
  const hash = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex');
  const lines = folders
    .filter((folder) => fs.existsSync(folder))
    .flatMap((folder) =>
      fs
        .readdirSync(folder)
        .sort()
        .map((name) => `${hash(fs.readFileSync(path.join(folder, name)))}  ${name}\n`),
    );
  return hash(lines.join(''));
}

const settled = 'udevadm settle --timeout=30';

const test = suite('seed');
for (const [title, device, disks] of [
  ['a CD', cdrom, 'sr0:1:cd-rom'],
  ['a disk that the host made read-only', sealedDisk, 'vdc:1:virtio-feature'],
] as const) {
  test(`${title}: cloud-init gets only the copy, and its earlier state is removed`, () => {
    const { records, isReady, copy, calls, sum, code } = find({
      seeds: [device, writableDisk],
      content: { ...standard, 'vendor-data': '\0binary', other: 'x' },
      files: { 'run/cloud-init/disabled': '' },
      after: (at) => {
        const mode = (name: string) => fs.statSync(at(`run/immutafs/seed${name}`)).mode & 0o777;
        assert.equal(['', '/nocloud', '/nocloud/user-data'].map(mode), [0o700, 0o700, 0o600]);
        const text = fs.readFileSync(at('run/cloud-init/cloud.cfg'), 'utf8');
        assert.match(text, /^datasource_list: \[NoCloud\]$/m);
        assert.match(text, /^datasource: \{NoCloud: \{fs_label: null,/m);
        assert.is(fs.readlinkSync(at('var/lib/cloud/seed/nocloud')), '/run/immutafs/seed/nocloud');
        assert.equal(fs.readdirSync(at('var/lib/cloud')), ['scripts', 'seed']);
        assert.not(fs.existsSync(at('run/cloud-init/disabled')));
        assert.is(fs.readFileSync(at('etc/ssh/ssh_host_rsa_key'), 'utf8'), 'of the image');
      },
    });
    assert.equal(records, [
      begun,
      'SEED_IGNORED=vdb vdb:0:none',
      `SEED=accepted ${device.name} ${sum} ${disks}`,
    ]);
    assert.equal([code, isReady], [0, true]);
    assert.equal(copy, ['meta-data', 'user-data', 'vendor-data']);
    assert.equal(calls, [
      settled,
      // MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
      'mount iso9660 15',
      'detach /run/immutafs/seed/mount',
      'rm -rf --one-file-system /var/lib/cloud/instances',
    ]);
  });
}
test('upper case, and vfat', () => {
  const { isReady, calls } = find({ label: 'CIDATA', type: 'vfat' });
  assert.equal([isReady, calls[1]], [true, 'mount vfat 15']);
});

const plain = {
  ...standard,
  'immutafs/hostname': 'web1.example.com\n',
  'immutafs/ssh_host_ed25519_key': 'key\n',
  'immutafs/ssh_host_ed25519_key.pub': 'public\n',
  'immutafs/eth0.nmconnection': '[connection]\n',
  'immutafs/ifcfg-eth0': 'DEVICE=eth0\n',
  'immutafs/10-eth0.network': '[Match]\n',
};
const targets = {
  '/etc/NetworkManager/system-connections/eth0.nmconnection': 0o600,
  '/etc/hostname': 0o644,
  '/etc/ssh/ssh_host_ed25519_key': 0o600,
  '/etc/ssh/ssh_host_ed25519_key.pub': 0o644,
  '/etc/sysconfig/network-scripts/ifcfg-eth0': 0o644,
  '/etc/systemd/network/10-eth0.network': 0o644,
};
test('without cloud-init: the plain files are in /etc, and the keys of the image are not', () => {
  const { records, isReady, sum, calls } = find({
    ...{ cloudInit: false, selinux: true, content: { ...plain, 'immutafs/.hidden': '' } },
    files: { 'etc/hostname': { linkTo: '/etc/shadow' } },
    after: (at) => {
      for (const [file, mode] of Object.entries(targets)) {
        const found = fs.lstatSync(at(file));
        assert.equal([found.isFile(), found.mode & 0o777], [true, mode], file);
        assert.is(
          fs.readFileSync(at(file), 'utf8'),
          plain[`immutafs/${path.basename(file)}` as keyof typeof plain],
        );
      }
      assert.equal(fs.readdirSync(at('etc/ssh')), [
        'ssh_host_ed25519_key',
        'ssh_host_ed25519_key.pub',
        'sshd_config',
      ]);
      assert.is(fs.readFileSync(at('proc/sys/kernel/hostname'), 'utf8'), 'web1.example.com\n');
      const applied = fs.readFileSync(at('run/immutafs/seed/applied'), 'utf8').trimEnd().split('\n');
      const expected = Object.keys(targets).map((file) => {
        const bytes = fs.readFileSync(at(file));
        return `${createHash('sha256').update(bytes).digest('hex')}  ${file}`;
      });
      assert.equal(applied.toSorted(), expected.toSorted());
      assert.not(fs.existsSync(at('run/cloud-init')));
      assert.equal(fs.readdirSync(at('var/lib/cloud')), ['instances', 'scripts']);
    },
  });
  assert.equal(records, [begun, `SEED=accepted sr0 ${sum} sr0:1:cd-rom`]);
  assert.is(isReady, true);
  const labelled = calls.find((call) => call.startsWith('/usr/sbin/restorecon -F '))?.split(' ') ?? [];
  assert.equal(labelled.slice(2).toSorted(), Object.keys(targets).toSorted());
});
const without = (content: Content): Case => ({ cloudInit: false, content: { ...plain, ...content } });
test('more files than one restorecon gets', () => {
  const many = Object.fromEntries(
    Array.from({ length: 40 }, (_, index) => [`immutafs/ifcfg-eth${index}`, '']),
  );
  const { calls } = find({ ...without(many), selinux: true });
  const labelled = calls
    .filter((call) => call.startsWith('/usr/sbin/restorecon'))
    .flatMap((call) => call.split(' ').slice(2));
  assert.is(new Set(labelled).size, 46 - 1);
});

for (const [title, options, expected] of [
  ['a seed on a writable disk is not read', { seeds: [writableDisk] }, 'none'],
  ['a seed on a disk with only the flag of the guest', { seeds: [flaggedDisk] }, 'none'],
  ['another label', { label: 'config-2' }, 'none'],
  ['no seed', { seeds: [] }, 'none'],
  ['two seeds', { seeds: [cdrom, sealedDisk] }, /^refused several devices have a seed, .*: sr0 vdc$/],
  ['another file system', { type: 'xfs' }, /^refused the file system on sr0 is xfs, /],
  ['a file system that udev does not know', { type: '' }, /^refused the file system on sr0 is unknown, /],
  ['a seed that cannot be mounted', { mountFails: true }, 'refused mount failed: Invalid argument'],
  ['no user-data', { content: { 'meta-data': '' } }, 'refused sr0 has no file user-data'],
  ['no meta-data', { content: { 'user-data': '' } }, 'refused sr0 has no file meta-data'],
  [
    'a large file',
    { content: { ...standard, 'vendor-data': 'x'.repeat(1048577) } },
    'refused vendor-data of the seed is larger than 1048576 bytes',
  ],
  [
    'a symbolic link',
    { content: { ...standard, 'vendor-data': { linkTo: '/etc/shadow' } } },
    'refused vendor-data of the seed is not a file',
  ],
  [
    'a symbolic link that leads nowhere',
    { content: { ...standard, 'user-data': { linkTo: 'nowhere' } } },
    'refused user-data of the seed is not a file',
  ],
  [
    'a directory',
    { content: { ...standard, 'network-config/x': '' } },
    'refused network-config of the seed is not a file',
  ],
  [
    'a source elsewhere',
    { content: { ...standard, 'meta-data': 'seedfrom: http://192.0.2.1/\n' } },
    'refused meta-data on sr0 names another source (seedfrom)',
  ],
  [
    'no overlay on /etc',
    { mounts: '1 1 0:41 / /var rw - overlay immutafs rw\n' },
    'refused /etc has no overlay in RAM',
  ],
  [
    'a file system over the overlay on /etc',
    { mounts: `${overlays}1 1 8:1 / /etc rw - xfs /dev/vdb rw\n` },
    'refused /etc has no overlay in RAM',
  ],
  [
    'the state of cloud-init is on a data disk',
    { mounts: `${overlays}1 1 8:1 / /var/lib/cloud rw - xfs /dev/vdb rw\n` },
    'refused /var/lib/cloud has no overlay in RAM, which cloud-init needs',
  ],
  [
    'no plain files without cloud-init',
    { cloudInit: false },
    'refused cloud-init is not installed, and sr0 has no file immutafs/hostname',
  ],
  [
    'plain files without a host name',
    { cloudInit: false, content: { ...standard, 'immutafs/ifcfg-eth0': '' } },
    'refused cloud-init is not installed, and sr0 has no file immutafs/hostname',
  ],
  [
    'a plain file of another name',
    without({ 'immutafs/passwd': 'x' }),
    'refused immutafs/passwd on sr0 is not a file that a seed can have',
  ],
  [
    'a name with a line feed',
    without({ 'immutafs/a\nSEED=none': 'x' }),
    'refused immutafs/a?SEED=none on sr0 is not a file that a seed can have',
  ],
  [
    'a plain file that is a symbolic link',
    without({ 'immutafs/ssh_host_rsa_key': { linkTo: '/etc/shadow' } }),
    'refused immutafs/ssh_host_rsa_key of the seed is not a file',
  ],
  [
    'the directory of the plain files is a symbolic link',
    { cloudInit: false, content: { ...standard, immutafs: { linkTo: '/etc/ssh' } } },
    'refused immutafs of the seed is a symbolic link',
  ],
  [
    'a host name with other characters',
    without({ 'immutafs/hostname': 'a b\n' }),
    'refused immutafs/hostname does not begin with a host name',
  ],
  [
    'a host name that begins with a hyphen',
    without({ 'immutafs/hostname': '-a\n' }),
    'refused immutafs/hostname does not begin with a host name',
  ],
  [
    'a long host name',
    without({ 'immutafs/hostname': `${'a'.repeat(65)}\n` }),
    'refused immutafs/hostname is longer than 64 characters',
  ],
] as const satisfies readonly (readonly [string, Case, string | RegExp])[]) {
  test(title, () => {
    const { records, isReady, calls, seconds, code } = find({
      ...options,
      after: (at) => {
        assert.is(fs.readFileSync(at('etc/ssh/ssh_host_rsa_key'), 'utf8'), 'of the image');
        assert.is(fs.readFileSync(at('proc/sys/kernel/hostname'), 'utf8'), '');
      },
    });
    const record = records.at(-1)?.replace('SEED=', '') ?? '';
    if (typeof expected === 'string') assert.is(record, expected);
    else assert.match(record, expected);
    assert.equal([code, isReady], [0, false]);
    assert.not(calls.includes('freeze'), 'nothing was written to /etc');
    const isMissing = record === 'none';
    assert.is(seconds, isMissing ? 30 : 0, 'waits for a device only if there is no seed');
    if (isMissing) assert.equal(calls, [settled]);
    else
      assert.is(
        calls.includes('detach /run/immutafs/seed/mount'),
        calls.some((call) => call.startsWith('mount')),
      );
  });
}

test('a device that the kernel finds after udev has settled, beside a forged seed', () => {
  const { records, seconds, isReady } = find({
    ...{ seeds: [writableDisk, cdrom], label: 'none' },
    sleep: (at, second) => {
      if (second < 3) return;
      for (const number of ['11:0', '252:16'])
        fs.writeFileSync(at(`run/udev/data/b${number}`), 'E:ID_FS_LABEL_ENC=cidata\nE:ID_FS_TYPE=vfat\n');
    },
  });
  assert.equal([isReady, seconds], [true, 3]);
  assert.equal(records.slice(0, 2), [begun, 'SEED_IGNORED=vdb vdb:0:none']);
});
/** What is missing when the boot begins to look, and what happens later. */
for (const [title, options, appears] of [
  [
    'udev has events',
    { files: { 'run/udev/queue': '' } },
    (at) => fs.rmSync(at('run/udev/queue'), { force: true }),
  ],
  [
    'udev has not processed a disk',
    { others: [sealedDisk] },
    (at) => fs.writeFileSync(at('run/udev/data/b252:32'), ''),
  ],
  [
    'the kernel examines a SCSI disk',
    { files: { 'sys/bus/scsi/drivers/sd/2:0:0:1/type': '0' } },
    (at) => fs.mkdirSync(at('sys/bus/scsi/drivers/sd/2:0:0:1/block'), { recursive: true }),
  ],
] as const satisfies readonly (readonly [string, Case, (at: At) => void])[]) {
  test(`a seed, while ${title}: the boot waits, and for no longer than its limit`, () => {
    const found = find({
      ...options,
      sleep: (at, second) => {
        if (second === 3) appears(at);
      },
    });
    assert.equal([found.isReady, found.seconds], [true, 3]);
    const limited = find(options);
    assert.equal([limited.isReady, limited.seconds], [true, 30]);
    assert.match(limited.stderr, /^immutafs: SEED: after 30 s, .* is not ready; /);
  });
}
test('a device that cannot have an acceptable seed is not awaited', () => {
  const { seconds, isReady } = find({ others: [writableDisk] });
  assert.equal([isReady, seconds], [true, 0]);
});
test('a second seed that appears late: none is used', () => {
  const { records, seconds, isReady } = find({
    others: [sealedDisk],
    sleep: (at, second) => {
      if (second === 3) fs.copyFileSync(at('run/udev/data/b11:0'), at('run/udev/data/b252:32'));
    },
  });
  assert.equal([isReady, seconds], [false, 3]);
  assert.match(records.at(-1) ?? '', /^SEED=refused several devices have a seed, .*: sr0 vdc$/);
});
test('udev needs the whole limit: the boot looks once more', () => {
  const udevadm = (at: At) => fs.writeFileSync(at('proc/uptime'), '45.00 5.00\n');
  assert.is(find({ udevadm }).isReady, true);
  const { records, seconds } = find({ seeds: [writableDisk], udevadm });
  assert.equal([records.at(-1), seconds], ['SEED=none', 0]);
});
test('the name of the device leads to another one', () => {
  const { records } = find({
    udevadm: (at) => {
      fs.rmSync(at('dev/sr0'));
      fs.symlinkSync('vdb', at('dev/sr0'));
    },
    others: [writableDisk],
  });
  assert.is(records.at(-1), 'SEED=refused /dev/sr0 is not the device 11:0');
});
test('a seed that cannot be copied: /etc is not closed', () => {
  const { records, calls } = find({ ...without({}), unwritable: 'all' });
  assert.is(records.at(-1), 'SEED=refused meta-data of the seed cannot be copied: No space left on device');
  assert.not(calls.includes('freeze'));
});
test('only a part of the plain files can be written: /etc is closed', () => {
  // A file is in place of a directory.
  const { records, isReady, calls } = find({
    ...without({}),
    files: { 'etc/sysconfig/network-scripts': '' },
  });
  assert.match(records.at(-1) ?? '', /^SEED=incomplete /);
  assert.is(isReady, false);
  assert.ok(calls.includes('freeze'));
});

const killed = 'the search for a seed was killed before it was complete';
for (const [title, options, expected, isClosed] of [
  ['before it was applied', {}, `SEED=refused ${killed}`, false],
  ['before it began', { record: recorded('sealed') }, `SEED=refused ${killed}`, false],
  [
    'while it was applied',
    { files: { 'run/immutafs/seed/applying': '' } },
    `SEED=incomplete ${killed}`,
    true,
  ],
  [
    'after it was applied',
    { record: recorded('sealed', 'none'), files: { 'run/immutafs/seed/applying': '' } },
    'SEED=none',
    false,
  ],
] as const) {
  test(`the service of the seed ends ${title}`, () => {
    const { records, calls } = find({
      ...{ command: ['seed-ended'], record: recorded('sealed', 'begun') },
      ...options,
    });
    assert.equal([records.at(-1), calls.includes('freeze')], [expected, isClosed]);
  });
}

const ended = { 'run/cloud-init/result.json': '{}' };
const accepted = `accepted sr0 ${'0'.repeat(64)} sr0:1:cd-rom`;
for (const [title, words, options, expected] of [
  ['cloud-init has finished', [], { files: ended }, /^SEED=accepted /],
  ['cloud-init has finished late', ['late'], { files: ended }, /^SEED=accepted /],
  [
    'cloud-init has not finished in time',
    ['late'],
    {},
    /^SEED=incomplete cloud-init did not finish in time$/,
  ],
  ['the boot is slow, without cloud-init', ['late'], { cloudInit: false }, /^SEED=accepted /],
  ['a file is open for a while', [], { busy: 29, files: ended }, /^SEED=accepted /],
] as const satisfies readonly (readonly [string, string[], Case, RegExp])[]) {
  test(`${title}: /etc is closed, and the record has it`, () => {
    const { records, calls, isReady, code } = find({
      ...{ seeds: [], record: recorded('sealed', accepted), command: ['seed-finish', ...words] },
      ...options,
      files: { 'run/immutafs/seed/ready': '', ...('files' in options ? options.files : {}) },
    });
    assert.match(records.at(-1) ?? '', expected);
    assert.equal([calls, isReady, code], [['freeze'], false, 0]);
  });
}
test('a file stays open for writing: the service fails', () => {
  const { code, calls } = find({ record: recorded('sealed', accepted), command: ['seed-finish'], busy: 100 });
  assert.equal([code, calls], [1, []]);
});

for (const [title, record, expected] of [
  ['maintenance', recorded('maintenance'), []],
  ['a soft reboot', recorded('sealed', 'none'), ['SEED=none']],
] as const) {
  test(`${title}: does nothing`, () => {
    const { records, isReady, calls } = find({ record });
    assert.equal([[...records], isReady, calls], [[...expected], false, []]);
  });
}

test('the service of the seed ends in maintenance: nothing is recorded', () => {
  const { records } = find({ command: ['seed-ended'], record: recorded('maintenance') });
  assert.equal([...records], []);
});

test('names of plain files that a seed cannot have', () => {
  for (const name of [
    'passwd',
    '.ssh_host_rsa_key',
    'ssh_host_rsa_key~',
    'ssh_host_x y_key',
    '../hostname',
    'hostname ',
    'ssh_host_rsa.pub',
    'xifcfg-eth0',
    'network',
    'eth0.service',
    '',
  ])
    assert.is(targetOf(name), undefined, name);
  assert.equal(targetOf('ssh_host_rsa_key-cert.pub'), {
    file: '/etc/ssh/ssh_host_rsa_key-cert.pub',
    mode: 0o644,
  });
  assert.equal(targetOf('route6-eth0'), { file: '/etc/sysconfig/network-scripts/route6-eth0', mode: 0o644 });
});
test.run();
