/** Which devices a boot may format, in Node. test/packaging/scratch-device.test.ts runs the executable on block devices. */
import { execFileSync } from 'node:child_process';
import { suite } from 'uvu';
import { Refused } from '../../../boot/native/refusal.ts';
import { type OpenDevice, checkMark, markOf } from '../../../boot/scratch/mark.ts';
import { runBoot } from '../../harness/boot-native.ts';
import { makeSysfs } from '../../harness/sysfs.ts';
import { inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';
import fs from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import marks from '../../fixtures/scratch-marks.json' with { type: 'json' };

const link = '/dev/disk/by-id/virtio-scratch';
const uuid = '4C4C4544-0042-3510-8053-B7C04F4E5931';
const other = '4c4c4544-0042-3510-8053-b7c04f4e5932';
const mebibyte = 1024 * 1024;
const size = 80 * mebibyte;

interface Guest {
  at: (name: string) => string;
  /** Runs scratch-COMMAND. */
  scratch: (command: string, ...args: string[]) => { code: number; reason: string; stdout: string };
  /** Writes to the device vdb. */
  write: (position: number, text: string, name?: string) => void;
}

/** Runs an action in a guest with the disks vdb and vdc of 80 MiB; links name both. vda is the system disk, vdd read-only. */
function inGuest<T>(action: (guest: Guest) => T, { bytes = size, offered = true } = {}): T {
  return inTemporaryDirectory((root) => {
    const at = (name: string) => path.join(root, name);
    const disk = (name: string, device: string, more = {}) => ({
      name,
      device,
      bus: 'virtio-blk' as const,
      ...more,
    });
    makeSysfs(root, [
      disk('vda', '252:0', { offered, partitions: { vda1: '252:1', vda2: '252:2' } }),
      disk('vdb', '252:16'),
      disk('vdc', '252:32', { partitions: { vdc1: '252:33' } }),
      disk('vdd', '252:48', { offered: true }),
    ]);
    const names = { scratch: 'vdb', system: 'vda2', whole: 'vdc', part: 'vdc1', other: 'vdd' };
    writeFiles(root, {
      'etc/immutafs/immutafs.conf': `SCRATCH_DEVICE=${link}\n`,
      'run/immutafs/boot.env': 'MODE=sealed\n',
      'sys/class/dmi/id/product_uuid': `${uuid}\n`,
      'proc/self/mountinfo': '1 0 252:1 / / rw - ext4 /dev/vda1 rw\n',
      ...Object.fromEntries(
        Object.entries(names).map(([name, device]) => [
          `dev/disk/by-id/virtio-${name}`,
          { linkTo: `../../${device}` },
        ]),
      ),
      'dev/disk/by-id/virtio-null': { linkTo: '../../../null' },
      null: '',
    });
    for (const name of ['vda2', 'vdb', 'vdc', 'vdc1', 'vdd']) fs.writeFileSync(at(`dev/${name}`), '');
    for (const name of ['vda2', 'vdc', 'vdc1', 'vdd']) fs.truncateSync(at(`dev/${name}`), size);
    fs.truncateSync(at('dev/vdb'), bytes);
    const scratch = (command: string, ...args: string[]) => {
      const { code, stdout, stderr } = runBoot(root, [`scratch-${command}`, ...args]);
      assert.is(stderr, '');
      const [, reason = ''] = /^REASON=(.+)\nREMEDY=.+\n$/.exec(stdout) ?? [];
      assert.is(reason === '', code === 0, stdout);
      return { code, reason, stdout };
    };
    const write = (position: number, text: string, name = 'vdb') => {
      const file = fs.openSync(at(`dev/${name}`), 'r+');
      fs.writeSync(file, text, position, 'latin1');
      fs.closeSync(file);
    };
    return action({ at, scratch, write });
  });
}

/** Changes with each write to the device. */
const content = ({ at }: Guest) => fs.statSync(at('dev/vdb'), { bigint: true }).mtimeNs;
const run = ({ at }: Guest, program: string, ...args: string[]) =>
  execFileSync(program, [...args, at('dev/vdb')], { stdio: ['pipe', 'ignore', 'ignore'], input: ', \n' });
const configure = ({ at }: Guest, value: string) =>
  fs.writeFileSync(at('etc/immutafs/immutafs.conf'), `SCRATCH_DEVICE=${value}\n`);
const relink = ({ at }: Guest, device: string | undefined) => {
  fs.rmSync(at(link));
  if (device !== undefined) fs.symlinkSync(`../../${device}`, at(link));
};

/** What happens to a device after it was marked, and why the next boot does not format it. */
const refused = suite('scratch-check: devices that are not formatted');
for (const [title, change, reason] of [
  [
    'ext4',
    (guest) => run(guest, 'mkfs.ext4', '-q', '-F', '-E', 'nodiscard'),
    'has no mark, and contains other data',
  ],
  ['swap', (guest) => run(guest, 'mkswap'), /^\/dev\/vdb has (no mark, and contains )?other data/],
  ['a partition table', (guest) => run(guest, 'sfdisk', '-q'), /^\/dev\/vdb has .*(mark|data)/],
  ['a boot sector only', ({ write }) => write(510, 'x'), 'has other data: byte 510'],
  ['the last byte of the first MiB', ({ write }) => write(1048575, 'x'), 'has other data: byte 1048575'],
  [
    'a superblock of md 0.90 near the end',
    ({ write }) => write(size - 65536, 'x'),
    'has other data: byte 83820544',
  ],
  [
    'the backup of a GPT in the last sector',
    ({ write }) => write(size - 512, 'x'),
    'has other data: byte 83885568',
  ],
  ['the last byte', ({ write }) => write(size - 1, 'x'), `has other data: byte ${size - 1}`],
  ['zeros', ({ write }) => write(0, '\0'.repeat(4096)), 'has no mark'],
  ['a damaged mark', ({ write }) => write(30, 'x'), /^\/dev\/vdb is marked for another machine: /],
  ['a mark without an end', ({ write }) => write(27, 'x'.repeat(4069)), 'has a damaged mark'],
  ['a control character in the mark', ({ write }) => write(30, '\t'), 'has a damaged mark'],
  [
    'the mark of a later version',
    ({ write }) => write(17, '2'),
    'has a mark that this version does not know',
  ],
  ['a third line after the mark', ({ write }) => write(103, 'x\n'), /^\/dev\/vdb has other data: byte 103$/],
  [
    'a shorter disk',
    ({ at, write }) => {
      write(78 * mebibyte, 'x');
      fs.truncateSync(at('dev/vdb'), 79 * mebibyte);
    },
    /^\/dev\/vdb has other data: byte \d+$/,
  ],
  ['a disk that is too small', ({ at }) => fs.truncateSync(at('dev/vdb'), 63 * mebibyte), /has 63 MiB/],
  [
    'the UUID of another machine',
    ({ at }) => fs.writeFileSync(at('sys/class/dmi/id/product_uuid'), other),
    `is marked for another machine: ${uuid.toLowerCase()}`,
  ],
  [
    'a copy of the mark on another disk',
    (guest) => {
      fs.copyFileSync(guest.at('dev/vdb'), guest.at('dev/vdc1'));
      configure(guest, '/dev/disk/by-id/virtio-part');
    },
    `/dev/vdc1 has the mark of another device: ${link}`,
  ],
  ['the link points to another disk', (guest) => relink(guest, 'vdc1'), '/dev/vdc1 has no mark'],
  ['its link is gone', (guest) => relink(guest, undefined), `${link} does not exist`],
  ['its link leads nowhere', (guest) => relink(guest, 'vdz'), `${link} does not exist`],
  [
    'its link leads to a file',
    (guest) => configure(guest, '/dev/disk/by-id/virtio-null'),
    '/dev/disk/by-id/virtio-null (/null) is not a disk of the host or a partition of one',
  ],
  ['no device', (guest) => configure(guest, ''), 'SCRATCH_DEVICE is empty'],
  [
    'a name that root can choose',
    (guest) => configure(guest, '/dev/disk/by-id/dm-name-scratch'),
    'SCRATCH_DEVICE is empty',
  ],
  [
    'it is part of another device',
    ({ at }) => fs.mkdirSync(at('sys/class/block/vdb/holders/dm-3'), { recursive: true }),
    'is in use by dm-3',
  ],
  ['it has partitions', (guest) => relink(guest, 'vdc'), '/dev/vdc has partitions'],
  [
    'it is mounted',
    ({ at }) => fs.appendFileSync(at('proc/self/mountinfo'), '2 1 252:16 / /mnt rw - ext4 /dev/vdb rw\n'),
    'is mounted',
  ],
  [
    'the host made it read-only',
    ({ at }) => fs.writeFileSync(at('sys/class/block/vdb/ro'), '1\n'),
    'is on the read-only disk vdb',
  ],
  ['it is on a sealed disk', (guest) => relink(guest, 'vdd'), '/dev/vdd is on the read-only disk vdd'],
] as const satisfies readonly (readonly [string, (guest: Guest) => void, string | RegExp])[]) {
  refused(title, () => {
    inGuest((guest) => {
      guest.write(0, `immutafs-scratch 1\nmachine ${uuid.toLowerCase()}\ndevice ${link}\n`);
      assert.is(guest.scratch('check').code, 0, 'the twin');
      change(guest);
      const before = content(guest);
      const found = guest.scratch('check').reason;
      if (typeof reason === 'string') assert.ok([reason, `/dev/vdb ${reason}`].includes(found), found);
      else assert.match(found, reason);
      assert.is(content(guest), before, 'nothing is written');
    });
  });
}
refused('it is on the disk of /, which is writable', () => {
  inGuest(
    (guest) => {
      relink(guest, 'vda2');
      assert.is(guest.scratch('examine', link, 'wipe').reason, '/dev/vda2 is on the disk of /');
    },
    { offered: false },
  );
});
refused.run();

const marking = suite('scratch-mark');
marking('64 MiB are enough', () => {
  assert.is(
    inGuest(({ scratch }) => scratch('mark', link).code, { bytes: 64 * mebibyte }),
    0,
  );
});
for (const [title, put] of [
  ['a file system', (guest) => run(guest, 'mkfs.ext4', '-q', '-F', '-E', 'nodiscard')],
  ['data in the middle only', ({ write }) => write(20 * mebibyte, 'x'.repeat(20 * mebibyte))],
] as const satisfies readonly (readonly [string, (guest: Guest) => void])[]) {
  marking(`${title}: only with wipe`, () => {
    inGuest((guest) => {
      put(guest);
      const before = content(guest);
      for (const command of ['examine', 'mark'])
        assert.match(
          guest.scratch(command, link).stdout,
          /^REASON=\/dev\/vdb has other data: byte \d+\nREMEDY=.*--wipe/,
        );
      assert.is(guest.scratch('examine', link, 'wipe').code, 0);
      assert.is(content(guest), before, 'nothing is written');
      assert.is(guest.scratch('mark', link, 'wipe').code, 0);
      assert.is(guest.scratch('check').code, 0);
    });
  });
}
marking('twice: the second changes nothing', () => {
  inGuest((guest) => {
    guest.scratch('mark', link);
    const before = content(guest);
    assert.is(guest.scratch('mark', link, 'wipe').code, 0);
    assert.is(content(guest), before);
  });
});
const markIn = ({ at }: Guest) => fs.readFileSync(at('dev/vdb'), 'latin1').slice(0, 4096).replace(/\0*$/, '');
marking('the mark names the UUID in lower case, whatever the kernel', () => {
  inGuest((guest) => {
    guest.scratch('mark', link);
    assert.is(markIn(guest), `immutafs-scratch 1\nmachine ${uuid.toLowerCase()}\ndevice ${link}\n`);
  });
});
marking('a guest without a UUID is named by its machine ID; without one, nothing is marked', () => {
  inGuest((guest) => {
    const id = '0123456789abcdef0123456789abcdef';
    const name = (product: string, machine: string) => {
      fs.writeFileSync(guest.at('sys/class/dmi/id/product_uuid'), `${product}\n`);
      fs.writeFileSync(guest.at('etc/machine-id'), `${machine}\n`);
    };
    name('Not Settable', 'uninitialized');
    assert.match(guest.scratch('mark', link).reason, /^the guest has no UUID/);
    assert.is(markIn(guest), '');
    name('00000000-0000-0000-0000-000000000000', id);
    guest.scratch('mark', link);
    assert.match(markIn(guest), `machine ${id}\n`);
  });
});
marking(
  'unmark: the next boot does not format it; the twin: a device of another machine keeps its mark',
  () => {
    inGuest((guest) => {
      guest.scratch('mark', link);
      fs.writeFileSync(guest.at('sys/class/dmi/id/product_uuid'), other);
      assert.match(guest.scratch('unmark', link).reason, /is marked for another machine/);
      assert.match(markIn(guest), /^immutafs-scratch 1\n/);
      fs.writeFileSync(guest.at('sys/class/dmi/id/product_uuid'), uuid);
      assert.is(guest.scratch('unmark', link).code, 0);
      assert.is(guest.scratch('check').reason, '/dev/vdb has no mark');
    });
  },
);
marking('another word than wipe is an error, and nothing is erased', () => {
  inGuest(({ at, write }) => {
    write(20 * mebibyte, 'x');
    assert.is(runBoot(at('.'), ['scratch-mark', link, 'wip']).code, 2);
  });
});
marking('the marks of the table are written and accepted, and no names that could pose as others', () => {
  const device = { file: 0, node: '/dev/vdb', number: '252:16' };
  for (const { machine, device: name, mark } of marks) {
    const native = {
      readBlock: () => (mark ?? '').padEnd(4096, '\0'),
      contentIn: (_: number, from: number) => (from === 0 ? 0 : -1),
    };
    const opened = { native, device, file: 0, bytes: size } as unknown as OpenDevice;
    const owner = { machine, link: name };
    if (mark === null) {
      for (const use of [markOf, checkMark])
        assert.throws(
          () => use(opened, owner),
          (error: unknown) => error instanceof Refused,
        );
    } else {
      assert.is(markOf(opened, owner), mark);
      checkMark(opened, owner);
      assert.throws(
        () => checkMark(opened, { ...owner, machine: `${machine}x` }),
        /marked for another machine/,
      );
    }
  }
});
marking.run();
