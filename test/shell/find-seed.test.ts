/** find-seed, with programs in place of mount(8), because this machine may have no iso9660. */
import path from 'node:path';
import * as assert from 'uvu/assert';
import { cdromInfo } from '../harness/disk-scenarios.ts';
import type { DiskFixture } from '../harness/sysfs.ts';
import { bootEnv } from './late-boot.ts';
import { runInSandbox } from './sandbox.ts';
import { shim, useShims, withoutBusybox } from './shells.ts';

const scripts = ['find-seed', 'finish-seed', 'seed-files.sh'].map((each) =>
  path.join(import.meta.dirname, '../../units', each),
);

const cdrom: DiskFixture = { name: 'sr0', device: '11:0', bus: 'ata', vendor: 'QEMU' };
const sealedDisk: DiskFixture = { name: 'vdc', device: '252:32', bus: 'virtio-blk', offered: true };
const writableDisk: DiskFixture = { name: 'vdb', device: '252:16', bus: 'virtio-blk' };
/** Root in the guest has set the flag of a disk. */
const flaggedDisk: DiskFixture = { ...writableDisk, readOnly: true };

const files = { 'meta-data': 'instance-id: a\n', 'user-data': '#cloud-config\n' };
const overlays = ['/etc', '/var'].map((target) => `1 1 0:41 / ${target} rw - overlay immutafs rw\n`).join('');
const begun = 'SEED=begun';

interface Options {
  /** The devices that have the label. */
  seeds: readonly DiskFixture[];
  label?: string;
  type?: string;
  /** The files of each seed. */
  content?: Record<string, string | { linkTo: string }>;
  info?: string;
  mounts?: string;
  record?: string;
  /** Whether cloud-init is installed. */
  cloudInit?: boolean;
  /** Lines of bash that run after the script. */
  after?: string;
  /** Lines of bash that run in place of sleep(1). */
  sleep?: string;
  /** Lines of bash that run in place of chcon(1), with SELinux. */
  chcon?: string;
  /** Lines of bash that run in place of udevadm(8) and sha256sum(1). */
  udevadm?: string;
  sha256sum?: string;
  more?: Record<string, string>;
  /** Devices without a seed. */
  others?: readonly DiskFixture[];
  /** The arguments of the script. */
  words?: string;
}

withoutBusybox('find-seed', (test, shell) => {
  function find({
    seeds,
    label = 'cidata',
    type = 'iso9660',
    content = files,
    info = cdromInfo('sr0'),
    mounts = overlays,
    record = bootEnv('sealed'),
    cloudInit = true,
    after = '',
    sleep = '',
    chcon,
    udevadm = '',
    sha256sum,
    more = {},
    others = [],
    words = '',
  }: Options) {
    const { out } = runInSandbox({
      shell,
      scripts,
      devices: [...seeds, ...others],
      files: {
        'etc/immutafs/immutafs.conf': 'SEED_TIMEOUT=30\n',
        'proc/uptime': '10.00 5.00\n',
        'proc/sys/dev/cdrom/info': info,
        'proc/self/mountinfo': mounts,
        ...(chcon === undefined ? {} : { 'sys/fs/selinux/enforce': '1' }),
        'proc/sys/kernel/hostname': '',
        ...(cloudInit ? { 'usr/lib/systemd/system/cloud-init-local.service': '' } : {}),
        'etc/ssh/ssh_host_rsa_key': 'of the image',
        'run/immutafs/boot.env': record,
        'var/lib/cloud/instances/x/sem/config_ssh': '',
        'var/lib/cloud/scripts/per-boot/own': '',
        ...Object.fromEntries(
          seeds.map(({ device }) => [
            `run/udev/data/b${device}`,
            `E:ID_FS_LABEL_ENC=${label}\nE:ID_FS_TYPE=${type}\n`,
          ]),
        ),
        ...Object.fromEntries(Object.entries(content).map(([each, text]) => [`content/${each}`, text])),
        'shims/mount': shim('echo "$*" >>/out/mounts; cp -R /content/. "${!#}"'),
        'shims/udevadm': shim(`echo "udevadm $*" >>/out/mounts; ${udevadm}`),
        ...(sha256sum === undefined ? {} : { 'shims/sha256sum': shim(sha256sum) }),
        'shims/chcon': shim(`echo "chcon $*" >>/out/mounts; ${chcon ?? ''}`),
        // A second passes.
        'shims/sleep': shim(
          `echo slept >>/out/slept; read -r now _ </proc/uptime; echo "$((\${now%.*} + 1)).00 5.00" >/proc/uptime; ${sleep}`,
        ),
        'shims/umount': shim('[ ! -d "$1" ] || { echo "umount $*" >>/out/mounts; rm -r "$1"; }'),
        'usr/libexec/immutafs/make-mounts': shim('echo "make-mounts $*" >>/out/mounts'),
        ...more,
      },
      run: `${useShims}
        sh /usr/libexec/immutafs/find-seed ${words} 2>/out/stderr; echo $? >/out/code
        cp /run/immutafs/boot.env /out/boot.env
        { ls /run/immutafs/seed /run/immutafs/seed/nocloud; } >/out/copy 2>/dev/null
        stat -c '%a' /run/immutafs/seed /run/immutafs/seed/nocloud /run/immutafs/seed/nocloud/* >/out/modes 2>/dev/null
        cat /run/cloud-init/cloud.cfg >/out/cfg 2>/dev/null
        { readlink /var/lib/cloud/seed/nocloud; ls -A /var/lib/cloud; } >/out/cloud
        (cd /run/immutafs/seed/nocloud && /usr/bin/sha256sum -- *; cd ../files && /usr/bin/sha256sum -- *) 2>/dev/null | /usr/bin/sha256sum >/out/sum
        { ${after || ':'}; } >/out/after 2>&1
        true`,
    });
    assert.is(out['code'], '0\n', out['stderr']);
    return {
      records: (out['boot.env'] ?? '').split('\n').filter((line) => line.startsWith('SEED')),
      isReady: /^ready$/m.test(out['copy'] ?? ''),
      mounts: (out['mounts'] ?? '').replace('udevadm settle --timeout=30\n', ''),
      hasSettled: (out['mounts'] ?? '').startsWith('udevadm settle '),
      seconds: (out['slept'] ?? '').length / 'slept\n'.length,
      sum: (out['sum'] ?? '').slice(0, 64),
      out,
    };
  }

  const accepted: Record<string, [DiskFixture, string]> = {
    'a CD': [cdrom, 'sr0:1:cd-rom'],
    'a disk that the host made read-only': [sealedDisk, 'vdc:1:virtio-feature'],
  };
  for (const [title, [device, disks]] of Object.entries(accepted)) {
    test(`${title}: cloud-init gets only the copy, and its earlier state is removed`, () => {
      const { records, isReady, hasSettled, mounts, out, ...found } = find({
        seeds: [device, writableDisk],
        content: { ...files, 'vendor-data': '', other: 'x' },
      });
      assert.equal(records, [
        begun,
        'SEED_IGNORED=vdb vdb:0:none',
        `SEED=accepted ${device.name} ${found.sum} ${disks}`,
      ]);
      assert.match(found.sum, /^[0-9a-f]{64}$/);
      assert.equal([hasSettled, isReady], [true, true]);
      assert.is(
        mounts,
        `-t iso9660 -o ro,nosuid,nodev,noexec /dev/${device.name} /run/immutafs/seed/mount\numount /run/immutafs/seed/mount\n`,
      );
      assert.match(out['copy'] ?? '', /nocloud:\nmeta-data\nuser-data\nvendor-data\n$/);
      assert.is((out['modes'] ?? '').replaceAll('\n', ' '), '700 700 600 600 600 ');
      assert.match(out['cfg'] ?? '', /^datasource_list: \[NoCloud\]$/m);
      assert.match(out['cfg'] ?? '', /^datasource: \{NoCloud: \{fs_label: null,/m);
      assert.is(out['cloud'], '/run/immutafs/seed/nocloud\nscripts\nseed\n');
    });
  }

  const plain = {
    ...files,
    'immutafs/hostname': 'web1.example.com\n',
    'immutafs/ssh_host_ed25519_key': 'key\n',
    'immutafs/ssh_host_ed25519_key.pub': 'public\n',
    'immutafs/eth0.nmconnection': '[connection]\n',
    'immutafs/ifcfg-eth0': 'DEVICE=eth0\n',
    'immutafs/10-eth0.network': '[Match]\n',
  };
  test('without cloud-init: the plain files are in /etc, and the keys of the image are not', () => {
    const { records, isReady, out, ...found } = find({
      seeds: [cdrom],
      cloudInit: false,
      content: plain,
      after: `cat /proc/sys/kernel/hostname; find /etc/hostname /etc/ssh /etc/NetworkManager /etc/sysconfig /etc/systemd -type f -printf '%m %p\\n' | sort -k2
        sha256sum -c /run/immutafs/seed/applied | grep -c OK; ls -A /var/lib/cloud /run/cloud-init`,
    });
    assert.equal(records, [begun, `SEED=accepted sr0 ${found.sum} sr0:1:cd-rom`]);
    assert.is(isReady, true);
    assert.equal((out['after'] ?? '').split('\n'), [
      'web1.example.com',
      '600 /etc/NetworkManager/system-connections/eth0.nmconnection',
      '644 /etc/hostname',
      '600 /etc/ssh/ssh_host_ed25519_key',
      '644 /etc/ssh/ssh_host_ed25519_key.pub',
      '644 /etc/sysconfig/network-scripts/ifcfg-eth0',
      '644 /etc/systemd/network/10-eth0.network',
      '6',
      "ls: cannot access '/run/cloud-init': No such file or directory",
      '/var/lib/cloud:',
      'instances',
      'scripts',
      '',
    ]);
  });
  const without = (content: Options['content'] & object): Options => ({
    seeds: [cdrom],
    cloudInit: false,
    content: { ...plain, ...content },
  });

  const refused: Record<string, [Options, RegExp]> = {
    'a seed on a writable disk is not read': [{ seeds: [writableDisk] }, /^none$/],
    'a seed on a disk with only the flag of the guest': [{ seeds: [flaggedDisk] }, /^none$/],
    'another label': [{ seeds: [cdrom], label: 'config-2' }, /^none$/],
    'two seeds': [{ seeds: [cdrom, sealedDisk] }, /^refused several devices have a seed, .*: sr0 vdc$/],
    'another file system': [{ seeds: [cdrom], type: 'xfs' }, /^refused the file system on sr0 is xfs, /],
    'no user-data': [{ seeds: [cdrom], content: { 'meta-data': '' } }, /^refused sr0 has no file user-data$/],
    'no meta-data': [{ seeds: [cdrom], content: { 'user-data': '' } }, /^refused sr0 has no file meta-data$/],
    'a large file': [
      { seeds: [cdrom], content: { ...files, 'vendor-data': 'x'.repeat(1048577) } },
      /^refused vendor-data of the seed is larger than 1048576 bytes$/,
    ],
    'a symbolic link': [
      { seeds: [cdrom], content: { ...files, 'vendor-data': { linkTo: '/etc/shadow' } } },
      /^refused vendor-data of the seed is not a file$/,
    ],
    'a source elsewhere': [
      { seeds: [cdrom], content: { ...files, 'meta-data': 'seedfrom: http://192.0.2.1/\n' } },
      /^refused meta-data on sr0 names another source \(seedfrom\)$/,
    ],
    'no overlay on /etc': [
      { seeds: [cdrom], mounts: '1 1 0:41 / /var rw - overlay immutafs rw\n' },
      /^refused \/etc has no overlay in RAM$/,
    ],
    'no plain files without cloud-init': [
      { seeds: [cdrom], cloudInit: false },
      /^refused cloud-init is not installed, and sr0 has no file immutafs\/hostname$/,
    ],
    'a plain file of another name': [
      without({ 'immutafs/passwd': 'x' }),
      /^refused immutafs\/passwd on sr0 is not a file that a seed can have$/,
    ],
    'a plain file that is a symbolic link': [
      without({ 'immutafs/ssh_host_rsa_key': { linkTo: '/etc/shadow' } }),
      /^refused immutafs\/ssh_host_rsa_key of the seed is not a file$/,
    ],
    'a host name with other characters': [
      without({ 'immutafs/hostname': 'a b\n' }),
      /^refused immutafs\/hostname does not begin with a host name$/,
    ],
    'the state of cloud-init is on a data disk': [
      { seeds: [cdrom], mounts: `${overlays}1 1 8:1 / /var/lib/cloud rw - xfs /dev/vdb rw\n` },
      /^refused \/var\/lib\/cloud has no overlay in RAM/,
    ],
  };
  for (const [title, [options, expected]] of Object.entries(refused)) {
    test(title, () => {
      const { records, isReady, mounts, seconds } = find(options);
      assert.match(records.at(-1) ?? '', new RegExp(expected.source.replace('^', '^SEED=')));
      assert.is(isReady, false);
      const isMissing = records.at(-1) === 'SEED=none';
      assert.is(seconds, isMissing ? 30 : 0, 'waits for a device only if there is no seed');
      if (isMissing) assert.is(mounts, '');
    });
  }
  test('a device that the kernel finds after udev has settled, beside a forged seed', () => {
    const { records, seconds, isReady } = find({
      seeds: [writableDisk, cdrom],
      label: 'none',
      sleep:
        '[ $(wc -l </out/slept) -lt 3 ] || sed -i s/none/cidata/ /run/udev/data/b11:0 /run/udev/data/b252:16',
    });
    assert.equal([isReady, seconds], [true, 3]);
    assert.equal(records.slice(0, 2), [begun, 'SEED_IGNORED=vdb vdb:0:none']);
  });

  const afterThree = (lines: string) => `[ $(wc -l </out/slept) -lt 3 ] || { ${lines}; }`;
  /** What is missing when the boot begins to look, and what happens later. */
  const pending: Record<string, Partial<Options>> = {
    'udev has events': {
      more: { 'run/udev/queue': '' },
      sleep: afterThree('rm -f /run/udev/queue'),
    },
    'udev has not processed a disk': {
      others: [sealedDisk],
      sleep: afterThree('echo >/run/udev/data/b252:32'),
    },
    'the kernel examines a SCSI disk': {
      more: { 'sys/bus/scsi/drivers/sd/2:0:0:1/type': '0' },
      sleep: afterThree('mkdir -p /sys/bus/scsi/drivers/sd/2:0:0:1/block'),
    },
  };
  for (const [title, options] of Object.entries(pending)) {
    test(`a seed, while ${title}: the boot waits, and for no longer than its limit`, () => {
      const { seconds, isReady } = find({ seeds: [cdrom], ...options });
      assert.equal([isReady, seconds], [true, 3]);
      const limited = find({ seeds: [cdrom], ...options, sleep: '' });
      assert.equal([limited.isReady, limited.seconds], [true, 30]);
      assert.match(limited.out['stderr'] ?? '', /^immutafs: SEED: after 30 s, .* is not ready; /);
    });
  }
  test('a device that cannot have an acceptable seed is not awaited', () => {
    const { seconds, isReady } = find({ seeds: [cdrom], others: [writableDisk] });
    assert.equal([isReady, seconds], [true, 0]);
  });
  test('a second seed that appears late: none is used', () => {
    const { records, seconds, isReady } = find({
      seeds: [cdrom],
      others: [sealedDisk],
      sleep: afterThree('cp /run/udev/data/b11:0 /run/udev/data/b252:32'),
    });
    assert.equal([isReady, seconds], [false, 3]);
    assert.match(records.at(-1) ?? '', /^SEED=refused several devices have a seed, .*: sr0 vdc$/);
  });
  test('udev needs the whole limit: the boot looks once more', () => {
    const udevadm = 'echo 45.00 5.00 >/proc/uptime';
    assert.equal(find({ seeds: [cdrom], udevadm }).isReady, true);
    const { records, seconds } = find({ seeds: [writableDisk], udevadm });
    assert.equal([records.at(-1), seconds], ['SEED=none', 0]);
  });

  const partly = { 'shims/cp': shim('case "$2" in /etc/ssh/*) exit 1 ;; esac; exec /usr/bin/cp "$@"') };
  test('only a part of the plain files can be written: /etc is closed', () => {
    const { records, isReady, mounts } = find({ ...without({}), more: partly });
    assert.match(records.at(-1) ?? '', /^SEED=incomplete cp failed: /);
    assert.is(isReady, false);
    assert.match(mounts, /^make-mounts freeze \/etc$/m);
  });
  test('a seed that cannot be copied: /etc is not closed', () => {
    const { records, mounts } = find({
      ...without({}),
      more: { 'shims/cp': shim('case "$1" in */seed/mount/*) exit 1 ;; esac; exec /usr/bin/cp "$@"') },
    });
    assert.match(records.at(-1) ?? '', /^SEED=refused cp failed: /);
    assert.not.match(mounts, 'make-mounts');
  });
  test('no checksum of the seed: it is not used', () => {
    const sha256sum = '[ "$1" != -- ] || exit 1\nexec /usr/bin/sha256sum "$@"';
    for (const options of [{ seeds: [cdrom] }, without({})]) {
      const { records, isReady } = find({ ...options, sha256sum });
      assert.equal([records.at(-1), isReady], ['SEED=refused sha256sum failed', false]);
    }
  });

  const begunRecord = `${bootEnv('sealed')}SEED=begun\n`;
  const killed: Record<string, [Partial<Options>, string, closed: boolean]> = {
    'before it was applied': [
      { record: begunRecord },
      'SEED=refused the search was ended before it was complete',
      false,
    ],
    'while it was applied': [
      { record: begunRecord, more: { 'run/immutafs/seed/applying': '' } },
      'SEED=incomplete the search was ended before it was complete',
      true,
    ],
    'after it was applied': [
      { record: `${bootEnv('sealed')}SEED=none\n`, more: { 'run/immutafs/seed/applying': '' } },
      'SEED=none',
      false,
    ],
  };
  for (const [title, [options, expected, closed]] of Object.entries(killed)) {
    test(`the service of the seed ends ${title}`, () => {
      const { records, mounts } = find({ seeds: [cdrom], words: 'ended', ...options });
      assert.equal([records.at(-1), mounts.includes('make-mounts freeze /etc')], [expected, closed]);
    });
  }

  const ended = { 'run/cloud-init/result.json': '{}' };
  const seedRecord = `accepted sr0 ${'0'.repeat(64)} sr0:1:cd-rom`;
  const finishing: Record<string, [Options & { late?: boolean }, RegExp]> = {
    'cloud-init has finished': [{ seeds: [], more: ended }, /^SEED=accepted /],
    'cloud-init has finished late': [{ seeds: [], more: ended, late: true }, /^SEED=accepted /],
    'cloud-init has not finished in time': [
      { seeds: [], late: true },
      /^SEED=incomplete cloud-init did not finish in time$/,
    ],
    'the boot is slow, without cloud-init': [{ seeds: [], late: true, cloudInit: false }, /^SEED=accepted /],
  };
  for (const [title, [{ late = false, ...options }, expected]] of Object.entries(finishing)) {
    test(`${title}: /etc is closed, and the record has it`, () => {
      const { records, mounts, isReady } = find({
        ...options,
        record: `${bootEnv('sealed')}SEED=${seedRecord}\n`,
        more: { ...options.more, 'run/immutafs/seed/ready': '' },
        words: `; sh /usr/libexec/immutafs/finish-seed ${late ? 'late' : ''}`,
      });
      assert.match(records.at(-1) ?? '', expected);
      assert.equal([mounts, isReady], ['make-mounts freeze /etc\n', false]);
    });
  }
  test('with SELinux, the seed is mounted on a directory with a type for mount points', () => {
    const { isReady, mounts } = find({ seeds: [cdrom], chcon: '' });
    assert.is(isReady, true);
    assert.match(mounts, /^chcon --reference=\/run \/run\/immutafs\/seed\/mount\n-t iso9660 /);
    const { records, mounts: none } = find({ seeds: [cdrom], chcon: 'echo denied >&2; exit 1' });
    assert.match(records.at(-1) ?? '', /^SEED=refused chcon failed: denied /);
    assert.not.match(none, 'iso9660');
  });
  test('upper case, and vfat', () => {
    assert.is(find({ seeds: [cdrom], label: 'CIDATA', type: 'vfat' }).isReady, true);
  });

  for (const [title, record, expected] of [
    ['maintenance', bootEnv('maintenance'), []],
    ['a soft reboot', `${bootEnv('sealed')}SEED=none\n`, ['SEED=none']],
  ] as const) {
    test(`${title}: does nothing`, () => {
      const { records, isReady } = find({ seeds: [cdrom], record });
      assert.equal([...records], [...expected]);
      assert.is(isReady, false);
    });
  }
});
