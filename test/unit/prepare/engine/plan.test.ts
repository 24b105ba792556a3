import fs from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { SystemReader } from '../../../../agent/system/reader.ts';
import { type Guest, goodGuest } from '../../../harness/guest.ts';
import { ordinaryGuest } from '../../../harness/ordinary-guest.ts';
import { planOf } from '../../../harness/planned.ts';
import { tree, withBox } from '../../../harness/prepare-box.ts';
const plan = suite('the plan');
plan('changes nothing and shows every action', () =>
  withBox(ordinaryGuest(), async ({ root, at, prepare }) => {
    const before = tree(root);
    const { code, stdout } = await prepare();
    assert.is(code, 1);
    assert.equal(tree(root), before);
    assert.is(fs.existsSync(at('var/lib/immutafs')), false);
    assert.match(
      stdout,
      /^ {2}needed {3}tmp {7}\/etc\/fstab has no \/tmp: a tmpfs will be added\.\n {21}> edit \/etc\/fstab\n/,
    );
    assert.match(stdout, /\+tmpfs \/tmp tmpfs rw,/);
    assert.match(stdout, /-\/dev\/mapper\/rhel-root {3}\/ {23}xfs {5}defaults {8}0 0\n/);
    assert.match(stdout, '> ln -sfn ../proc/self/mounts /etc/mtab');
    assert.match(stdout, '5 needed. `immutafs-agent prepare --apply` carries out the needed actions.');
  }),
);
plan('each step is planned as if those before it were carried out', async () => {
  const { steps } = await planOf(ordinaryGuest(), { steps: ['tmp', 'fstab'] });
  const [tmp, fstab] = steps.map(({ actions }) => actions.find((action) => action.do === 'edit'));
  assert.is(fstab?.before, tmp?.after);
});
plan('the tables of device-mapper are read once, because each read starts a process', async () => {
  let reads = 0;
  const as = (reader: SystemReader): SystemReader => ({
    ...reader,
    deviceTables: () => {
      reads += 1;
      return reader.deviceTables();
    },
  });
  await planOf(ordinaryGuest(), { as });
  assert.is(reads, 1);
});
plan('does not access file systems of servers, which may not answer', async () => {
  const guest = ordinaryGuest();
  guest.mounts['home'] = '0:50 / /home rw,noexec,nosuid,nodev - nfs4 server:/home rw';
  guest.mounts['share'] = '0:51 / /var/share rw,noexec,nosuid,nodev - nfs4 server:/share rw';
  for (const [fd, file] of ['home/alice/mail', 'var/share/data'].entries()) {
    guest.files[`proc/900/fd/${fd}`] = { linkTo: `/${file}` };
    guest.files[`proc/900/fdinfo/${fd}`] = 'flags:\t02\n';
    guest.files[file] = 'x';
  }
  const safe = (file: string) => {
    if (/^\/(home|var\/share)(\/|$)/.test(file)) throw new Error(`${file} would hang`);
    return file;
  };
  const as = (reader: SystemReader): SystemReader => ({
    ...reader,
    stat: (file) => reader.stat(safe(file)),
    list: (file) => reader.list(safe(file)),
    usage: (file) => reader.usage(safe(file)),
    resolve: (file) => reader.resolve(safe(file)),
    read: (file, limit) => reader.read(safe(file), limit),
    readIfPresent: (file, limit) => reader.readIfPresent(safe(file), limit),
  });
  const { steps } = await planOf(guest, { as });
  assert.match(steps[0]?.why[0] ?? '', '/home is server:/home, which is not on the system');
});
plan('--json', () =>
  withBox(ordinaryGuest(), async ({ prepare }) => {
    const { code, stdout } = await prepare({ json: true, only: ['mtab'] });
    assert.is(code, 1);
    assert.equal(JSON.parse(stdout), {
      schema: 1,
      ready: false,
      refused: null,
      steps: [
        {
          id: 'mtab',
          state: 'needed',
          why: ["/etc/mtab is a file; on a read-only disk it must be a link to the kernel's mount table."],
          actions: [{ do: 'link', file: '/etc/mtab', to: '../proc/self/mounts' }],
        },
      ],
      rehearsal: null,
      moves: [],
    });
  }),
);
plan('a sealed guest is refused with all options', () =>
  withBox(goodGuest(), async ({ root, prepare }) => {
    const before = tree(root);
    for (const options of [{}, { apply: true, yes: true }, { undo: true }, { json: true }]) {
      const { code, stdout } = await prepare(options);
      assert.is(code, 1);
      assert.match(stdout, /This guest is sealed: disk vda is read-only\. Shut it down/);
    }
    assert.equal(tree(root), before);
  }),
);
/** Puts a device-mapper device on another one, as LVM does with a pool. */
const pool = (on: string, target: string, uuid: string) => (guest: Guest) => {
  if (on === 'vdb') guest.devices.push({ name: 'vdb', device: '254:16', bus: 'virtio-blk' });
  const meta = { name: 'rhel-pool00_tmeta', uuid: 'LVM-tmeta' };
  guest.devices.push({ name: 'dm-4', device: '253:4', on: [on], dm: meta });
  const dm = { name: 'rhel-pool00', uuid };
  guest.devices.push({ name: 'dm-5', device: '253:5', on: ['dm-4'], dm, target });
};
const rootOn = (target: string) => (guest: Guest) =>
  Object.assign(guest.devices.find(({ name }) => name === 'dm-0') ?? {}, { target, readOnly: false });
const mounted = (mounts: Guest['mounts']) => (guest: Guest) => Object.assign(guest.mounts, mounts);
const rows: [string, (guest: Guest) => unknown, RegExp?][] = [
  [
    'a sealed boot on a writable disk',
    mounted({ var: '0:42 / /var rw - overlay immutafs rw,lowerdir=/l' }),
    /\/var is an overlay/,
  ],
  [
    'a root that became read-only',
    mounted({ root: '253:0 / / ro,relatime shared:1 - xfs /dev/mapper/rhel-root ro' }),
    /mounted read-only, though its disk is writable/,
  ],
  [
    'a thin pool in the volume group of the root',
    pool('vda2', 'thin-pool', 'LVM-abc-tpool'),
    /cannot be sealed: rhel-pool00 \(dm-5\) is a thin pool \(target thin-pool\)\. LVM thin pools,/,
  ],
  [
    'Stratis',
    pool('vda2', 'thin', 'stratis-1-abc'),
    /: rhel-pool00 \(Stratis, dm-5\) is a thin volume \(target thin\)/,
  ],
  ['VDO', pool('vda2', 'vdo', 'LVM-abc-vpool'), /: rhel-pool00 \(dm-5\) is a VDO volume \(target vdo\)/],
  ['a root on a thin volume', rootOn('thin'), /: rhel-root \(dm-0\) is a thin volume/],
  [
    'a root on a device whose content may differ',
    rootOn('flakey'),
    /: the device-mapper table of dm-0 has the target flakey\./,
  ],
  ['a thin pool on a data disk', pool('vdb', 'thin-pool', 'LVM-abc-tpool')],
  ['a test device on the system disk without a file system', pool('vda2', 'flakey', 'x')],
];
for (const [title, change, said] of rows) {
  plan(`${title} is ${said === undefined ? 'accepted' : 'refused'}`, async () => {
    const guest = ordinaryGuest();
    change(guest);
    const { refused } = await planOf(guest, { steps: ['mtab'] });
    if (said === undefined) assert.is(refused, null);
    else assert.match(refused ?? '', said);
  });
}
plan('a device that is unplugged meanwhile does not end the plan', () =>
  withBox(ordinaryGuest(), async ({ at, prepare }) => {
    fs.symlinkSync('../../devices/virtual/block/loop0', at('sys/class/block/loop0'));
    const { code, stdout } = await prepare();
    assert.is(code, 1, stdout);
  }),
);
plan.run();
