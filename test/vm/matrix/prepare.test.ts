import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { emptyDevice, withEmptyDisk } from '../harness/empty-disk.ts';
import { moveBoot } from '../harness/move-boot.ts';
import { type Boot, assertSealed, checkOf, layout, look, withAgent } from '../harness/scenario.ts';

/** The layout that an installer creates: everything is on one disk and writable. */
const ordinary = layout({
  system: [
    { target: '/', filesystem: 'xfs', sizeMiB: 1400 },
    { target: '/home', filesystem: 'ext4', sizeMiB: 64 },
    { target: '/tmp', filesystem: 'ext4', sizeMiB: 64 },
    { target: 'swap', filesystem: 'swap', sizeMiB: 64 },
  ],
  home: null,
  fstab: 'installed',
});

async function makeOrdinary(root: string): Promise<void> {
  await rm(join(root, 'etc/mtab'));
  await writeFile(join(root, 'etc/mtab'), 'rootfs / rootfs rw 0 0\n');
}

async function withoutInitramfs(root: string): Promise<void> {
  await makeOrdinary(root);
  for (const name of await readdir(join(root, 'boot'))) {
    if (name.startsWith('initr')) await rm(join(root, 'boot', name));
  }
}

/**
 * Prints metadata and times of every file that survives a reboot, except logs, and the files of SQLite that rpm writes when
 * it reads its database.
 */
const everything =
  "find / /boot /home /tmp -xdev -not -path '/var/log/*' -not -path '/var/lib/systemd/*' -not -name 'rpmdb.sqlite-*' -printf '%p %y %s %m %U %G %T@ %C@ %l\\n' | sort";
const files = 'sha256sum /etc/fstab /etc/mtab; stat -c %F /etc/mtab; cat /etc/fstab';
const apply = `immutafs-agent prepare --apply --home-device ${emptyDevice} --yes --accept changes`;

/** Uses the file system that an earlier run has made and that no move is recorded to any more. */
const applyAgain = `${apply} --wipe ${emptyDevice}`;

/** Debian's systemd-tmpfiles makes mtab a link at boot; that of RHEL 7 does not. */
const mtab = 'rm /etc/mtab && echo rootfs / rootfs rw 0 0 >/etc/mtab';
/** Changes a file of a user after the move, which the way back must keep. */
const change = `. "$BOX/home-tree.sh"; echo after >>/home/alice/log; set_old_times /home; picture /home >/root/home`;
const memory = { memoryMiB: 2048, limitSeconds: 600 };

const homeTree = { 'home-tree.sh': join(import.meta.dirname, '../../harness/home-tree.sh') };
const same = '. "$BOX/home-tree.sh"; picture /home | diff /root/home - | head -n 20';
/** Prints the number of writes to the empty disk (Documentation/block/stat.rst). */
const written = `awk '{ print $5 }' "/sys/class/block/$(basename "$(readlink -f ${emptyDevice})")/stat"`;

/** Makes a real thin pool and a thin volume in the swap space, behind its header, and removes them again. */
const thinPool = {
  thin: `swapoff /dev/mapper/rhel-swap
dmsetup create thin-meta --table "0 8192 linear /dev/mapper/rhel-swap 1024" &&
dmsetup create thin-data --table "0 65536 linear /dev/mapper/rhel-swap 9216" &&
dd if=/dev/zero of=/dev/mapper/thin-meta bs=4096 count=1 conv=fsync &&
dmsetup create thin-pool --table "0 65536 thin-pool /dev/mapper/thin-meta /dev/mapper/thin-data 128 0" &&
dmsetup message thin-pool 0 create_thin 0 &&
dmsetup create thin-volume --table "0 65536 thin /dev/mapper/thin-pool 0" && udevadm settle`,
  thinReady: 'immutafs-agent check --ready-to-seal',
  thinPlan: 'immutafs-agent prepare --json --only fstab',
  thinRemoved:
    'dmsetup remove thin-volume && dmsetup remove thin-pool && dmsetup remove thin-meta thin-data && immutafs-agent prepare --json --only fstab',
};

/** A disk that was sealed without prepare is tested in `unprepared.test.ts`. */
const prepare = suite('prepare: from an ordinary guest to a sealed one');

prepare(
  'the plan changes nothing; after a move, --undo and a move again, the guest boots sealed with its /home',
  () =>
    withEmptyDisk(400, (disk) =>
      withAgent({ layout: ordinary, edit: withoutInitramfs }, async (guest) => {
        const open = await guest.boot({
          disk: 'writable',
          drives: [disk],
          files: homeTree,
          steps: {
            mtab,
            fill: '. "$BOX/home-tree.sh"; fill; picture /home >/root/home',
            before: `${everything}; ${written}`,
            plan: 'immutafs-agent prepare',
            named: `immutafs-agent prepare --only home --home-device ${emptyDevice}`,
            json: 'immutafs-agent prepare --json --only fstab',
            after: `${everything}; ${written}`,
            files,
            ready: 'immutafs-agent check --ready-to-seal',
            ...thinPool,
            first: `${apply} --skip initramfs`,
            done: files,
            withdraw: 'immutafs-agent prepare --undo',
            withdrawn: files,
            again: `${applyAgain} --skip initramfs`,
          },
          ...memory,
        });
        assertPlan(open);
        assertThinPoolRefused(open);
        assertRecorded(open);
        assert.is(open.endedBy, 'poweroff');

        const common = { drives: [disk], files: homeTree, ...memory };
        const { console: move } = await moveBoot(guest, common);
        assert.match(move, /immutafs: \/home moved to /, move.slice(-5000));
        const moved = await guest.boot({
          disk: 'writable',
          ...common,
          steps: { done: files, same, change, undo: 'immutafs-agent prepare --undo' },
        });
        assertMoved(moved);
        assert.match((await moveBoot(guest, common)).console, /immutafs: \/home moved back/);
        const undone = await guest.boot({
          disk: 'writable',
          ...common,
          steps: { mtab, undone: files, same, apply: applyAgain },
        });
        assertUndone(open, undone);
        await moveBoot(guest, common);
        const last = await guest.boot({
          disk: 'writable',
          ...common,
          steps: { rest: apply, none: 'immutafs-agent prepare' },
        });
        for (const step of ['rest', 'none']) {
          const { exit, stdout, stderr } = last.step(step);
          assert.is(exit, 0, `${step}: ${stdout}\n${stderr}`);
        }

        const sealed = await guest.boot({
          disk: 'readonly',
          bootFiles: await guest.bootFilesOnDisk(),
          drives: [disk],
          files: homeTree,
          steps: { ...look, ...home, tmp: 'findmnt -no FSTYPE,OPTIONS /tmp; stat -c %a /tmp', ...again },
        });
        assertBootsSealed(sealed);
      }),
    ),
);

/** Compares /home, and the old /home, which is still on its ext4 volume of the system disk, with what they must be. */
const home = {
  same,
  old: '. "$BOX/home-tree.sh"; mount -o ro /dev/mapper/rhel-home /mnt && picture /mnt | diff /root/home - | head -n 20; umount /mnt',
  sparse: 'stat -c "%b %s" /home/alice/holes',
};
const again = {
  plan: 'immutafs-agent prepare',
  apply,
  undo: 'immutafs-agent prepare --undo',
  ready: 'immutafs-agent check --ready-to-seal',
};

function assertThinPoolRefused(boot: Boot): void {
  const refused = (name: string) =>
    (JSON.parse(boot.step(name).stdout) as { refused: string | null }).refused;
  assert.is(boot.step('thin').exit, 0, boot.step('thin').stderr);
  for (const said of [refused('thinPlan') ?? '', boot.step('thinReady').stdout.replaceAll('\n', ' ')]) {
    assert.match(said, /thin-pool \(dm-\d+\) is a thin pool \(target thin-pool\)/);
    assert.match(said, /thin-volume \(dm-\d+\) is a thin volume \(target thin\)/);
  }
  assert.is(boot.step('thinReady').exit, 1);
  assert.is(refused('thinRemoved'), null);
}

function assertPlan(boot: Boot): void {
  const { exit, stdout, stderr } = boot.step('plan');
  assert.is(exit, 1, stderr);
  for (const said of [
    /needed +tmp +Line \d+: \/tmp is on \S*rhel-tmp, which becomes read-only: a tmpfs/,
    /needed +mtab +\/etc\/mtab is a file/,
    /needed +fstab +/,
    /needed +initramfs +\/boot\/initr\S+ does not exist/,
    /blocked +home +/,
  ]) {
    assert.match(stdout.replace(/\n {21}(?! *[> +-])/g, ' '), said);
  }
  const named = boot.step('named').stdout;
  assert.match(named, /needed +home +\/home is \/dev\/mapper\/rhel-home, on the system's own disk/);
  assert.match(named, /> parted -s -a optimal \/dev\/disk\/by-id\/virtio-empty mklabel gpt /);
  assert.is(boot.step('fill').exit, 0, boot.step('fill').stderr);
  assert.match(boot.step('before').stdout, /\n0\n$/, 'writes to the empty disk');
  assert.ok(boot.step('before').stdout.length > 100_000, 'the list of files is complete');
  const [listed, listedAfter] = ['before', 'after'].map(
    (step) => new Set(boot.step(step).stdout.split('\n')),
  );
  assert.equal(
    [...(listed ?? new Set()).symmetricDifference(listedAfter ?? new Set())],
    [],
    'the plan changed a file',
  );
  const { steps } = JSON.parse(boot.step('json').stdout) as { steps: { id: string; state: string }[] };
  assert.equal(
    steps.map(({ id, state }) => [id, state]),
    [['fstab', 'needed']],
  );
  const ready = boot.step('ready');
  assert.is(ready.exit, 1);
  assert.match(ready.stdout, /^Not ready to seal:\n {2}home: blocked: [^\n]*\n {2}tmp: needed: /);
}

/** Asserts that --apply changes everything but /home, and that --undo restores the files at once before the move. */
function assertRecorded(boot: Boot): void {
  const before = boot.step('files').stdout;
  assert.match(before, /regular file/);
  assert.match(before, /rhel-swap none swap defaults/);
  assert.is(boot.step('first').exit, 1, boot.step('first').stdout + boot.step('first').stderr);
  const done = boot.step('done').stdout;
  assert.match(done, /symbolic link/);
  assert.match(done, /^tmpfs \/tmp tmpfs rw,size=25%,nr_inodes=50k,noexec,nodev,nosuid,mode=1777 0 0$/m);
  assert.match(done, /^\/dev\/mapper\/rhel-root \/ xfs defaults,ro 0 0$/m);
  assert.match(done, /^#\/dev\/mapper\/rhel-swap none swap defaults 0 0$/m);
  assert.match(done, /^\/dev\/mapper\/rhel-home \/home ext4 defaults/m, '/home is not moved');
  assert.is(boot.step('withdraw').exit, 0, boot.step('withdraw').stdout);
  assert.is(boot.step('withdrawn').stdout, before, 'undo restores the files byte for byte');
  assert.is(boot.step('again').exit, 1, boot.step('again').stdout + boot.step('again').stderr);
}

function assertMoved(boot: Boot): void {
  const done = boot.step('done').stdout;
  assert.match(done, /^#\/dev\/mapper\/rhel-home \/home ext4 defaults 0 0$/m);
  assert.match(done, /^UUID=[\da-f-]{36} \/home xfs rw,noexec,nodev,nosuid 0 0$/m);
  assert.equal(boot.step('same'), { exit: 0, stdout: '', stderr: '' });
  assert.is(boot.step('change').exit, 0, boot.step('change').stderr);
  assert.is(boot.step('undo').exit, 1, `the way back remains: ${boot.step('undo').stdout}`);
}

/** Asserts that the way back has restored the files, and that /home has what was written after the move. */
function assertUndone(open: Boot, boot: Boot): void {
  assert.is(boot.step('undone').stdout, open.step('files').stdout, 'undo restores the files byte for byte');
  assert.equal(boot.step('same'), { exit: 0, stdout: '', stderr: '' });
  assert.is(boot.step('apply').exit, 1, boot.step('apply').stdout + boot.step('apply').stderr);
}

function assertBootsSealed(sealed: Boot): void {
  const report = assertSealed(sealed);
  assert.is(checkOf(report, 'initramfs-hook').status, 'pass', 'prepare made the initramfs with the hook');
  assert.match(sealed.step('tmp').stdout, /^tmpfs +rw,nosuid,nodev,noexec,.*\n1777\n$/);
  assert.equal(sealed.step('same'), { exit: 0, stdout: '', stderr: '' });
  assert.equal(sealed.step('old'), { exit: 0, stdout: '', stderr: '' });
  const [blocks = NaN, bytes = NaN] = sealed.step('sparse').stdout.split(' ').map(Number);
  assert.ok(bytes > 10_000_000 && blocks * 512 < bytes / 4, `${blocks} blocks for ${bytes} bytes`);
  for (const step of Object.keys(again)) {
    assert.is(sealed.step(step).exit, 1, step);
    assert.match(
      sealed.step(step).stdout,
      /^This guest is sealed: disk vda is read-only\. Shut it down/,
      step,
    );
  }
}

prepare.run();
