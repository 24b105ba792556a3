/** The executable immutafs-boot. test/unit/boot/commands.test.ts has the rules, in Node. */
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootProgram, buildBootProgram } from '../../packaging/build/boot-program.ts';
import { inRoot, scratch } from '../../packaging/build/paths.ts';
import { runBoot } from '../harness/boot-native.ts';
import { buildTestBootProgram, testBootProgram } from '../harness/boot-program.ts';
import { diskScenarios, drives, stackScenarios } from '../harness/disk-scenarios.ts';
import { makeGuest, writtenUnits } from '../harness/generator.ts';
import { type DiskFixture, type StackFixture, makeSysfs } from '../harness/sysfs.ts';
import { inTemporaryDirectory, writeFiles } from '../harness/temporary.ts';
import { run } from './support.ts';

const faulty = path.join(scratch, 'test/immutafs-boot-faults');
await buildBootProgram();
await buildTestBootProgram();
await buildBootProgram(inRoot('test/harness/boot-program-faults.ts'), faulty);

const binary = (program: string, ...args: (string | Buffer)[]) => {
  const env = { PATH: '/usr/sbin:/usr/bin' };
  const { status, signal, stdout, stderr } = spawnSync(program, args as string[], {
    encoding: 'latin1',
    env,
  });
  return { code: status, signal, stdout, stderr };
};

const answers = suite('the executable answers as in Node');
type Devices = readonly (DiskFixture | StackFixture)[];
/** Compares the answers of the commands for each device, with the executable alone in a root directory. */
function compare(devices: Devices, info = ''): void {
  inTemporaryDirectory((root) => {
    makeSysfs(root, devices);
    writeFiles(root, { 'proc/sys/dev/cdrom/info': info });
    fs.copyFileSync(testBootProgram, path.join(root, 'immutafs-boot'));
    for (const name of fs.readdirSync(path.join(root, 'sys/class/block'))) {
      for (const args of [
        ['disks', `/sys/class/block/${name}`],
        ['udev', name],
      ]) {
        const { code, stdout, setReadOnly } = runBoot(root, args);
        const ran = binary('chroot', root, '/immutafs-boot', ...args);
        const stderr = setReadOnly.map((file) => `${file} is set read-only\n`).join('');
        assert.equal(ran, { code, signal: null, stdout, stderr }, args.join(' '));
        assert.ok(stdout.length > 10);
      }
    }
  });
}
for (const [title, { devices }] of Object.entries({ ...diskScenarios, ...stackScenarios })) {
  answers(title, () => compare(devices));
}
for (const [title, { drive, info }] of Object.entries(drives)) {
  answers(`drive: ${title}`, () => compare([drive], info));
}
answers.run();

/** Boots of test/unit/boot/generator, here with the executable alone in a root directory. */
const guests: Readonly<Record<string, Parameters<typeof makeGuest>[1]>> = {
  'a sealed boot': {
    config:
      'MOUNT_OPTIONS=strict\nOVERLAY=/opt /root\nPERSIST=/srv/www\nPERSIST_STORE=/data/store\nSCRATCH=/srv/x\nSEED=host\n',
    record: 'REHEARSAL=900\nOVERLAY=/root overlay\nOVERLAY=/opt deferred\n',
    fstab: 'LABEL="my\\040logs" /var/log xfs ro,x-systemd.automount 0 0\n/dev/vdb /data xfs x 0 0\n',
    mounts: { '/var': 'overlay', '/root': 'overlay' },
    files: { 'usr/lib/systemd/system/cloud-init.service': 'x', 'dev/vdb': '' },
    devices: [{ name: 'vdb', device: '252:16', bus: 'virtio-blk', offered: true }],
  },
  'a maintenance boot that moves': {
    mode: 'maintenance',
    record: 'DISKS=vda:0:none\n',
    fstab: 'UUID=1 / xfs ro 0 0\nUUID=2 /boot ext4 ro,x%y 0 0\n',
    files: { 'etc/immutafs/move-at-boot': '' },
  },
  'without a record': { mode: null, config: 'MODE=seald\nON_FAILURE=x\nFORWARD_FILES=/root/\xe9\n' },
};
const generator = suite('the executable writes the units that it writes in Node');
for (const [title, guest] of Object.entries(guests)) {
  generator(title, () => {
    const write = (run: (root: string, args: string[]) => unknown) =>
      inTemporaryDirectory((root) => {
        makeGuest(root, guest);
        assert.equal(run(root, ['generator', '/generated', '/generated', '/generated']), [0, '']);
        return writtenUnits(path.join(root, 'generated'));
      });
    const expected = write((root, args) => {
      const { code, stderr } = runBoot(root, args);
      return [code, stderr];
    });
    assert.ok(expected.length > 2);
    const written = write((root, args) => {
      // A fixture has a file in place of a device.
      for (const name of fs.existsSync(path.join(root, 'dev/vdb')) ? ['dev/vdb'] : []) {
        fs.rmSync(path.join(root, name));
        execFileSync('mknod', [path.join(root, name), 'b', '252', '16']);
      }
      fs.copyFileSync(testBootProgram, path.join(root, 'immutafs-boot'));
      const { code, stderr } = binary('chroot', root, '/immutafs-boot', ...args);
      return [code, stderr];
    });
    assert.equal(written, expected);
  });
}
generator('a directory that cannot be written to, and a fault before the first file', () => {
  inTemporaryDirectory((root) => {
    makeGuest(root, { files: { 'proc/self/mountinfo': 'not a mount\n' } });
    fs.copyFileSync(testBootProgram, path.join(root, 'immutafs-boot'));
    const run = (...args: string[]) => binary('chroot', root, '/immutafs-boot', 'generator', ...args);
    assert.match(run('/generated').stderr, 'mountinfo line 1 is malformed');
    assert.equal(fs.readdirSync(path.join(root, 'generated')), []);
    fs.writeFileSync(path.join(root, 'proc/self/mountinfo'), '1 0 0:1 / / rw - tmpfs x rw\n');
    assert.is(run('/nowhere').code, 3);
    assert.is(run('/generated').code, 0);
  });
});
generator.run();

/** Texts that root in the guest, or a disk that is attached to it, can choose, damaged anywhere. */
const texts = {
  'etc/fstab': guests['a sealed boot']?.fstab ?? '',
  'etc/immutafs/immutafs.conf': guests['a sealed boot']?.config ?? '',
  'run/immutafs/boot.env': 'MODE=sealed\nDISKS=vda:1:virtio-feature\nOVERLAY=/opt deferred\nSEED=none\n',
  'run/udev/data/b253:0': 'S:disk/by-id/x\nE:ID_FS_UUID=1\nE:ID_FS_UUID_ENC=1\nE:ID_FS_LABEL_ENC=a\\x20b\n',
  'proc/cmdline': 'ro root=UUID=1 rd.lvm.lv=rhel/root quiet\n',
  'proc/sys/dev/cdrom/info': 'drive name:\tsr0\nCan write CD-R:\t0\n',
  'sys/class/block/dm-0/dm/uuid': 'LVM-x\n',
  'sys/class/block/dm-0/dm/name': 'rhel-root\n',
} as const;
const hostile = suite('the executable answers as in Node, whatever the files contain');
hostile('units and disks', () => {
  const text = (first: number, maxLength: number) =>
    fc.string({
      unit: fc.integer({ min: first, max: 255 }).map((byte) => String.fromCharCode(byte)),
      maxLength,
    });
  const bytes = fc.oneof(
    fc.stringMatching(/^[ \t\n\\"'=:,/%$0-9a-zA-Z]{0,12}$/),
    text(128, 4),
    text(0, 300),
    fc
      .constantFrom('/', '\n', '\\040', '../')
      .chain((part) => fc.nat(3000).map((count) => part.repeat(count))),
  );
  const damage = fc.record({ at: fc.nat(120), skip: fc.nat(20), bytes });
  const codes = new Set<number>();
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom(...Object.keys(texts)), damage, { minKeys: 2 }),
      (damages: Record<string, { at: number; skip: number; bytes: string }>) => {
        const files = Object.fromEntries(
          Object.entries(texts).map(([name, text]) => {
            const { at, skip, bytes: garbage } = damages[name] ?? { at: 0, skip: 0, bytes: '' };
            return [name, text.slice(0, at) + garbage + text.slice(at + skip)];
          }),
        );
        const [expected, found] = ([runBoot, inChroot] as const).map((run) =>
          inTemporaryDirectory((root) => {
            const on = { name: 'dm-0', device: '253:0', on: ['vda'] };
            const disk = { name: 'vda', device: '252:0', bus: 'virtio-blk', offered: true } as const;
            makeGuest(root, { devices: [disk, on] });
            writeFiles(root, files);
            return [
              ['generator', '/generated', '/generated', '/generated'],
              ['udev', 'dm-0'],
              ['may-join', 'vda', 'x'],
            ].map((args) => {
              const { code, stdout } = run(root, args);
              return [code, stdout, ...writtenUnits(path.join(root, 'generated'))];
            });
          }),
        );
        assert.equal(found, expected);
        for (const [code] of found ?? []) codes.add(Number(code));
      },
    ),
    { numRuns: 20 },
  );
  assert.equal(
    [...codes].every((code) => [0, 1, 3].includes(code)),
    true,
    [...codes].join(),
  );
});
hostile.run();

function inChroot(root: string, args: string[]) {
  fs.copyFileSync(testBootProgram, path.join(root, 'immutafs-boot'));
  return binary('chroot', root, '/immutafs-boot', ...args);
}

const program = suite('the executable');
program('usage, and devices that do not exist', () => {
  assert.equal(binary(bootProgram, 'x'), {
    code: 2,
    signal: null,
    stdout: '',
    stderr: "immutafs-boot: unknown command 'x'\n",
  });
  for (const args of [
    ['udev', 'none0'],
    ['disks', '/sys/class/block/none0'],
    ['may-join', 'none0', 'x'],
  ]) {
    const { code, stdout, stderr } = binary(bootProgram, ...args);
    assert.equal([code, stdout], [3, '']);
    assert.match(stderr, /^immutafs-boot: \/sys\/class\/block\/none0: No such file or directory\n$/);
  }
});
program('arguments that are no UTF-8 are bytes, in messages too', () => {
  const { code, stderr } = binary(bootProgram, 'udev', Buffer.from('\xff\xc3\xe9', 'latin1'));
  assert.is(code, 3);
  // Node passes an argument as text, so that the byte ff arrives as U+FFFD.
  assert.match(stderr, /^immutafs-boot: \/sys\/class\/block\/[\x80-\xff]+: No such file or directory\n$/);
  const shell = binary('sh', '-c', `${bootProgram} udev "$(printf '\\377')"`);
  assert.is(shell.stderr, 'immutafs-boot: /sys/class/block/\xff: No such file or directory\n');
});
program('output that cannot be written is no answer', () => {
  const [device = ''] = fs.readdirSync('/sys/class/block');
  assert.is(binary('sh', '-c', `${bootProgram} disks /sys/class/block/${device}`).code, 0);
  assert.is(binary('sh', '-c', `${bootProgram} disks /sys/class/block/${device} >/dev/full`).code, 3);
});
program('needs no library, and only the system calls of Linux 3.10', () => {
  assert.match(run('ldd', [bootProgram]).stderr, 'not a dynamic executable');
  const filter = path.join(scratch, 'linux-3.10');
  execFileSync('cc', ['-o', filter, inRoot('test/packaging/linux-3.10.c')]);
  inTemporaryDirectory((root) => {
    makeSysfs(root, diskScenarios['LVM on one sealed disk; its own flag says nothing']?.devices ?? []);
    fs.copyFileSync(testBootProgram, path.join(root, 'immutafs-boot'));
    const { code, stdout, stderr } = binary('chroot', root, '/immutafs-boot', 'udev', 'dm-0');
    assert.equal([code, stdout], [0, 'IMMUTAFS_SEALED=1\nIMMUTAFS_READ_ONLY=1\n'], stderr);
    const old = binary('setarch', '--uname-2.6', filter, 'chroot', root, '/immutafs-boot', 'udev', 'dm-0');
    assert.equal([old.code, old.stdout], [0, 'IMMUTAFS_SEALED=1\nIMMUTAFS_READ_ONLY=1\n'], old.stderr);
  });
});
program('maps nothing both writable and executable', () => {
  const headers = execFileSync('readelf', ['-lW', bootProgram], { encoding: 'utf8' });
  assert.match(headers, /GNU_STACK .* RW /);
  assert.not.match(headers, / RWE /);
});
program('two builds give the same bytes, without a path of the build machine', async () => {
  const again = path.join(scratch, 'test/immutafs-boot-again');
  fs.rmSync(again, { force: true });
  await buildBootProgram(inRoot('boot/main.ts'), again);
  const bytes = fs.readFileSync(bootProgram);
  assert.ok(bytes.equals(fs.readFileSync(again)));
  assert.not.ok(bytes.includes(inRoot('')));
});
program.run();

const native = suite('boot/native/native.c');
for (const [fault, said] of [
  ['throw', 'Error: a defect'],
  ['memory', 'InternalError: out of memory'],
  ['stack', 'InternalError: stack overflow'],
  ['character', 'Error: Invalid argument'],
  ['nul', 'Error: Invalid argument'],
  ['no-exit', ''],
] as const) {
  native(`fails safe: ${fault}`, () => {
    const { code, signal, stdout, stderr } = binary(faulty, fault);
    assert.equal(
      [code, signal, stdout, stderr],
      [3, null, '', said === '' ? '' : `immutafs-boot: ${said}\n`],
    );
  });
}
native('fails safe: the time limit, also if the parent ignores the signal', () => {
  assert.is(binary(faulty, 'time').signal, 'SIGALRM');
  assert.is(binary('sh', '-c', `trap '' ALRM; ${faulty} time`).code, 128 + 14);
});
native('names and contents are bytes', () => {
  inTemporaryDirectory((folder) => {
    const name = Buffer.concat([Buffer.from(`${folder}/`), Buffer.from('a\xff\xc3\xa9', 'latin1')]);
    fs.writeFileSync(name, Buffer.from('\x00\x01\x00\xff\xe9text after ten', 'latin1'));
    fs.symlinkSync(name, path.join(folder, 'b'));
    assert.is(binary(faulty, 'list', folder).stdout, 'a\xff\xc3\xa9\nb');
    assert.is(binary(faulty, 'resolve', path.join(folder, 'b')).stdout, name.toString('latin1'));
    fs.writeFileSync(path.join(folder, 'c'), Buffer.from('01\xff\xe9text after ten', 'latin1'));
    assert.is(binary(faulty, 'read', path.join(folder, 'c')).stdout, '\xff\xe9text aft');
  });
});
native('a program gets no environment but PATH, and its failure gives no output', () => {
  inTemporaryDirectory((folder) => {
    const script = (name: string, lines: string) => {
      fs.writeFileSync(path.join(folder, name), `#!/bin/sh\n${lines}\n`, { mode: 0o755 });
      return path.join(folder, name);
    };
    const good = script('good', '[ "$#" = 1 ] && echo "$1" "$PATH"; env | grep -c "^SECRET="; exit 0');
    const { stdout } = spawnSync(faulty, ['run', good], { encoding: 'latin1', env: { SECRET: 'x' } });
    assert.is(stdout, 'a b /usr/sbin:/usr/bin:/sbin:/bin\n0\n');
    assert.is(binary(faulty, 'run', script('bad', 'echo x; exit 1')).stdout, 'undefined');
    assert.is(binary(faulty, 'run', '/nonexistent').stdout, 'undefined');
  });
});
native('sets a block device read-only, and no file', () => {
  inTemporaryDirectory((folder) => {
    const file = path.join(folder, 'disk');
    fs.writeFileSync(file, Buffer.alloc(1 << 20));
    const device = execFileSync('losetup', ['--find', '--show', file], { encoding: 'utf8' }).trim();
    try {
      const flag = () => execFileSync('blockdev', ['--getro', device], { encoding: 'utf8' }).trim();
      // The flag of an earlier user remains.
      execFileSync('blockdev', ['--setrw', device]);
      assert.is(flag(), '0');
      assert.is(binary(faulty, 'set-read-only', device).code, 0);
      assert.is(flag(), '1');
    } finally {
      // The flag would remain.
      execFileSync('blockdev', ['--setrw', device]);
      execFileSync('losetup', ['--detach', device]);
    }
    assert.equal(binary(faulty, 'set-read-only', file).code, 3);
  });
});
native.run();
