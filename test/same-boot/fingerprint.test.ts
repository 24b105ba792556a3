import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inRoot } from '../../packaging/build/paths.ts';
import { whileTemporaryDirectory } from '../harness/temporary.ts';
import { compare } from './compare.ts';
import { declared } from './declared.ts';
import { parseDevices } from './devices.ts';
import { parseFingerprint } from './fingerprint.ts';

const fingerprint = suite('the fingerprint of a boot');

const lines = [
  'block\t254:16\tvdb ro: 0 size: 1 serial: home dm/name:  dm/uuid: ',
  'block\t254:0\tvda ro: 1 size: 9 serial: system dm/name:  dm/uuid: ',
  'block\t254:2\tvda2 ro: 1 size: 8 serial:  dm/name:  dm/uuid: ',
  'block\t253:0\tdm-0 ro: 1 size: 7 serial:  dm/name: rhel-root dm/uuid: LVM-1 on:vda2',
  'text\t/proc/1/mountinfo\t64 1 253:0 / / ro,relatime shared:1 - ext4 /dev/dm-0 ro',
  'text\t/proc/modules\text4 100 1 - Live 0xffff',
  'process\tsh -c x\t1 Uid:0',
  'process\tsh -c x\t1 Uid:1000',
  'unit\thome.mount loaded active mounted /home',
  'end\t\t',
];
const parse = (...all: string[]) => parseFingerprint(all.join('\n'));

fingerprint('a mount has the disks below it, by their serial numbers', () => {
  const mount = parse(...lines).get('mount /') ?? '';
  assert.match(mount, /^\/ ro,relatime shared:\S+ - ext4 \/dev\/dm-0 ro dm-0|^\/ ro,relatime/);
  assert.match(mount, /dm\/name: rhel-root .* on \[ro: 1 size: 8 .* on \[ro: 1 size: 9 serial: system /);
  const copied = lines.map((line) => line.replace('on:vda2', 'on:vdb'));
  assert.match(parse(...copied).get('mount /') ?? '', /on \[ro: 0 size: 1 serial: home /);
});

fingerprint('entries with the same key are kept apart, in a fixed order', () => {
  const found = parse(...lines);
  assert.equal([found.get('process sh -c x'), found.get('process sh -c x (2)')], ['1 Uid:0', '1 Uid:1000']);
  assert.equal([...parse(...lines.toReversed())], [...found]);
  assert.is(found.get('module ext4'), '100');
  assert.is(found.get('unit home.mount'), 'loaded active mounted');
});

fingerprint('a device of the machine has its properties, without those of the devices on its buses', () => {
  const tree = `bus: main-system-bus
  type System
  dev: virtio-blk-pci, id ""
    write-cache = "on"
    bus: virtio-bus
      type virtio-pci-bus
      dev: virtio-blk-device, id ""
        drive = "spare"
`;
  assert.equal(parseDevices(tree), [
    ['device virtio-blk-pci, id ""', 'write-cache = "on"; type virtio-pci-bus'],
    ['device virtio-blk-device, id ""', 'drive = "spare"'],
  ]);
  assert.throws(() => parseDevices('unknown command'), 'names no device: unknown command');
  const clean = parseFingerprint(lines.join('\n'), parseDevices(tree));
  const changed = parseFingerprint(lines.join('\n'), parseDevices(tree.replace('"on"', '"off"')));
  assert.equal(
    compare([clean], changed).map(({ key }) => key),
    ['host device virtio-blk-pci, id ""'],
  );
});

fingerprint('an output without its end is no fingerprint', () => {
  assert.throws(() => parse(...lines.slice(0, -1)), 'did not reach its end');
});

fingerprint('each declared variation has a reason, and the list is short', () => {
  assert.ok(declared.length <= 60);
  for (const { keys, reason } of declared) assert.ok(reason.length > 10, String(keys));
});

fingerprint('what root plants, and a link that leaves a sealed disk, is not declared', () => {
  const link = 'file\t/dev/disk/by-uuid/1f5a0000-0000-4000-8000-626f6f740000\t120777 0:0 -> ../../';
  const planted = [
    'file\t/run/planted\t100644 0:0 0 1',
    'file\t/run/systemd/system/planted.service\t100644 0:0 9 1',
    'file\t/var/spool/cron/crontabs/root\t100644 0:0 9 -',
    'process\tsh /home/planted\t1',
    'program\t/home/planted\t1',
    'sysctl\tkernel/core_pattern\t|/home/planted',
    'text\t/proc/modules\tplanted 1 0 - Live 0xffff',
    'text\t/run/immutafs/boot.env\tMODE=maintenance',
    'text\t/proc/cmdline\tinit=/home/planted',
    'unit\tplanted.service loaded active exited',
    'text\t/proc/net/unix\t0: 2 0 10000 0001 01 11 /run/planted',
    'file\t/run/lvm/planted\t100644 0:0 9 1',
    'file\t/run/systemd/transient/planted.service\t100644 0:0 9 1',
    'file\t/dev/disk/planted\t100644 0:0 9 1',
    'file\t/run/systemd/efivars/SystemdOptions-1\t100644 0:0 34 1',
    'text\t/proc/1/mountinfo\t90 1 0:50 / /sys/firmware/efi/efivars rw - tmpfs planted rw',
    'unit\tsystemd-hibernate-clear.service loaded active running',
    'text\t/run/immutafs/scratch-device\tSTATE=ready',
    'unit\thome.mount loaded active mounted',
    'file\t/var/lib/kept\t100755 0:0 9 1',
    'file\t/var/lib\t40777 0:0',
    'text\t/proc/1/mountinfo\t90 1 252:1 / /home rw,suid - ext4 /dev/vdb rw,errors=panic',
    'sysctl\tkernel/threads-max\t9',
    'file\t/run/mdadm/planted\t100600 0:0 9 1',
    'process\t/usr/sbin/mdadm --monitor --scan \twritable, 0::/system.slice/mdmonitor.service',
    'unit\tmdmonitor.timer loaded active running',
    'unit\timmutafs-check.timer masked inactive dead',
    'unit\timmutafs-drift.service loaded failed failed',
  ];
  const clean = parse(...lines, `${link}vda1`);
  for (const each of [...planted, `${link}vda2`])
    assert.is(compare([clean], parse(...lines, `${link}vda1`, each)).length, 1, each);
  assert.equal(
    compare([clean], parse(...lines, `${link}vdf`)).map(({ found }) => found),
    [undefined],
  );
  assert.equal(
    compare(
      [clean],
      parse(...lines, `${link}vda1`, 'file\t/dev/disk/by-label/root\t120777 0:0 -> ../../vdf'),
    ),
    [],
  );
});

fingerprint('what root does to its own data is declared', () => {
  const mount = 'text\t/proc/1/mountinfo\t90 1 252:1 / /home rw,nosuid - ext4 /dev/vdb rw';
  const clean = parse(...lines, mount);
  const found = [
    'file\t/var/lib/kept\t40755 0:0 trusted.overlay.opaque=y',
    'text\t/run/immutafs/scratch-device\tREASON=/dev/vdc has other data',
    'unit\tdata.mount loaded failed failed',
    'unit\tsystemd-hibernate-clear.service loaded active exited',
    'file\t/run/lvm/vgs_online\t40700 0:0',
    'file\t/run/systemd/transient\t40755 0:0',
    'file\t/run/var/below/etc/upper/lvm\t40755 0:0 trusted.overlay.origin=x',
    'file\t/dev/md\t40755 0:0',
    'file\t/run/mdadm/map\t100600 0:0 64 1',
    'text\t/proc/modules\traid1 61440 0 - Live 0xffff',
    'sysctl\tdev/raid/speed_limit_max\t200000',
    'process\t/usr/sbin/mdadm --monitor --scan \tread-only, 0::/system.slice/mdmonitor.service',
    'unit\tmdmonitor.service loaded active running',
    'unit\tmdcheck_start.timer masked inactive dead',
    'unit\tblockdev@dev-vdf.target loaded inactive dead',
  ];
  for (const each of found) assert.equal(compare([clean], parse(...lines, mount, each)), [], each);
  for (const label of ['', ',seclabel'])
    assert.equal(
      compare([parse(...lines, `${mount}${label}`)], parse(...lines, `${mount}${label},errors=panic`)),
      [],
    );
});

fingerprint(
  'another file system of root with the UUID of its data, and a check that now runs, are declared',
  () => {
    const boot = (mount: string, timer: string, drift: string) => [
      'block\t252:48\tvdd ro: 0 size: 409600 serial: data',
      'block\t252:80\tvdf ro: 0 size: 3686400 serial: spare',
      `text\t/proc/1/mountinfo\t90 1 ${mount} rw`,
      `unit\timmutafs-check.timer loaded active ${timer}`,
      `unit\timmutafs-drift.service loaded ${drift}`,
    ];
    const clean = parse(
      ...lines,
      ...boot('252:48 / /data nosuid - ext4 /dev/vdd', 'waiting', 'inactive dead'),
    );
    const changed = (...words: Parameters<typeof boot>) =>
      compare([clean], parse(...lines, ...boot(...words))).length;
    assert.is(changed('252:80 / /data nosuid - ext4 /dev/vdf', 'running', 'activating start'), 0);
    assert.is(changed('252:80 / /data rw - ext4 /dev/vdf', 'dead', 'failed failed'), 3);
  },
);

fingerprint('the collector prints what is in a file, and no content forges a line', () =>
  whileTemporaryDirectory(async (folder) => {
    const program = join(folder, 'collect');
    await execa('gcc', [
      '-O2',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-static',
      '-o',
      program,
      inRoot('test/same-boot/collect.c'),
    ]);
    const large = 'x'.repeat(1_048_500);
    const files: Record<string, string> = { small: 'abc', large, 'a\nend\t\t': '' };
    for (const length of [55, 56, 64]) files[length] = 'y'.repeat(length);
    const script = `mount -t tmpfs tmpfs /mnt && cp -a "$1"/files/. /mnt/ && ln -s /etc /mnt/link && setfattr -n user.a -v b /mnt/small; exec "$2" $(ls -d /* | grep -v /mnt)`;
    await execa('mkdir', [join(folder, 'files')]);
    for (const [name, content] of Object.entries(files))
      await writeFile(join(folder, 'files', name), content);
    const { stdout } = await execa(
      'unshare',
      ['--mount', '--pid', '--fork', '--mount-proc', 'sh', '-c', script, 'sh', folder, program],
      { maxBuffer: 1e9 },
    );
    const entries = new Map(
      stdout
        .split('\n')
        .filter((line) => line.startsWith('file\t/mnt'))
        .map((line) => line.split('\t').slice(1, 3) as [string, string]),
    );
    for (const [name, content] of Object.entries(files)) {
      const value = entries.get(`/mnt/${name.replaceAll('\n', '\\012').replaceAll('\t', '\\011')}`) ?? '';
      assert.ok(
        value.startsWith(
          `100644 0:0 ${content.length} ${createHash('sha256').update(content).digest('hex')}`,
        ),
        `${name}: ${value}`,
      );
    }
    assert.match(entries.get('/mnt/link') ?? '', / -> \/etc$/);
    assert.is(stdout.split('\n').filter((line) => line.startsWith('end')).length, 1);
    assert.match(stdout, /^text\tmount namespace\tthat of PID 1$/m);
  }),
);

fingerprint.run();
