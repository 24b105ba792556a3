import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootFilesIn } from './harness/kernel.ts';
import {
  type Boot,
  type Guest,
  assertSealed,
  checkOf,
  layout,
  look,
  notPassed,
  statusOf,
  withAgent,
} from './harness/scenario.ts';
import { agentTree } from './harness/agent.ts';

/** As an installer leaves it: everything on the one disk, and everything writable. */
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

/** A regular mtab, no initramfs for the kernel, and nothing asked of /home, which stays where it is here. */
async function makeOrdinary(root: string): Promise<void> {
  await rm(join(root, 'etc/mtab'));
  await writeFile(join(root, 'etc/mtab'), 'rootfs / rootfs rw 0 0\n');
  await writeFile(join(root, 'etc/immutafs/immutafs.conf'), 'REQUIRE_OPTIONS=/tmp:noexec,nosuid,nodev\n');
}

async function withoutInitramfs(root: string): Promise<void> {
  await makeOrdinary(root);
  for (const name of await readdir(join(root, 'boot'))) {
    if (name.startsWith('initr')) await rm(join(root, 'boot', name));
  }
}

/** Everything about every file that outlives a reboot, but the logs: what it is, and when it or that last changed. */
const everything =
  "find / /boot /home /tmp -xdev -not -path '/var/log/*' -not -path '/var/lib/systemd/*' -printf '%p %y %s %m %U %G %T@ %C@ %l\\n' | sort";
const files = 'sha256sum /etc/fstab /etc/mtab; stat -c %F /etc/mtab; cat /etc/fstab';
const apply = 'immutafs-agent prepare --apply --skip home --yes';

const prepare = suite('from an ordinary guest to a sealed one');

prepare('the plan changes nothing; applied, undone and applied again, the guest boots sealed', async () => {
  const out = await mkdtemp(join(tmpdir(), 'immutafs-prepare-'));
  try {
    await withAgent({ layout: ordinary, edit: withoutInitramfs }, async (guest) => {
      const open = await guest.boot({
        disk: 'writable',
        steps: {
          // At boot systemd-tmpfiles has made it a link again, which RHEL 7's does not.
          mtab: 'rm /etc/mtab && echo rootfs / rootfs rw 0 0 >/etc/mtab',
          before: everything,
          plan: 'immutafs-agent prepare',
          json: 'immutafs-agent prepare --json --only fstab',
          after: everything,
          files,
          ready: 'immutafs-agent check --ready-to-seal',
          first: `${apply} --skip initramfs`,
          done: files,
          undo: 'immutafs-agent prepare --undo',
          undone: files,
          apply,
          rest: 'immutafs-agent prepare --skip home',
          out: 'cp /boot/initr* "$OUT"',
        },
        outTo: out,
        memoryMiB: 2048,
        limitSeconds: 600,
      });
      assertPlan(open);
      assertUndone(open);
      const { exit, stdout, stderr } = open.step('apply');
      assert.is(exit, 0, `${stdout}\n${stderr}`);
      assert.is(open.step('rest').exit, 0, open.step('rest').stdout);
      assert.is(open.endedBy, 'poweroff');
      await assertBootsSealed(guest, out);
    });
  } finally {
    await rm(out, { recursive: true });
  }
});

function assertPlan(boot: Boot): void {
  const { exit, stdout, stderr } = boot.step('plan');
  assert.is(exit, 1, stderr);
  for (const said of [
    /needed +tmp +Line \d+: \/tmp is on \S*rhel-tmp, which becomes read-only: a tmpfs/,
    /needed +mtab +\/etc\/mtab is a file/,
    /needed +fstab +/,
    /needed +initramfs +\/boot\/initr\S+ is not there/,
    /blocked +home +/,
  ]) {
    assert.match(stdout.replace(/\n {21}(?! *[> +-])/g, ' '), said);
  }
  assert.ok(boot.step('before').stdout.length > 100_000, 'the list of files is long');
  assert.is(boot.step('after').stdout, boot.step('before').stdout, 'the plan changed something');
  const { steps } = JSON.parse(boot.step('json').stdout) as { steps: { id: string; state: string }[] };
  assert.equal(
    steps.map(({ id, state }) => [id, state]),
    [['fstab', 'needed']],
  );
  const ready = boot.step('ready');
  assert.is(ready.exit, 1);
  assert.match(ready.stdout, /^Not ready to seal:\n {2}home: blocked: [^\n]*\n {2}tmp: needed: /);
}

function assertUndone(boot: Boot): void {
  const before = boot.step('files').stdout;
  assert.match(before, /regular file/);
  assert.match(before, /rhel-swap none swap defaults/);
  assert.is(boot.step('first').exit, 0, boot.step('first').stdout + boot.step('first').stderr);
  const done = boot.step('done').stdout;
  assert.match(done, /symbolic link/);
  assert.match(done, /^tmpfs \/tmp tmpfs rw,size=25%,nr_inodes=50k,noexec,nodev,nosuid,mode=1777 0 0$/m);
  assert.match(done, /^\/dev\/mapper\/rhel-root \/ xfs defaults,ro 0 0$/m);
  assert.match(done, /^#\/dev\/mapper\/rhel-swap none swap defaults 0 0$/m);
  assert.is(boot.step('undo').exit, 0, boot.step('undo').stdout);
  assert.is(boot.step('undone').stdout, before, 'byte for byte');
}

async function assertBootsSealed(guest: Guest, out: string): Promise<void> {
  const bootFiles = await bootFilesIn(out, join(await agentTree(), 'vmlinux'));
  const sealed = await guest.boot({
    disk: 'readonly',
    bootFiles,
    steps: {
      ...look,
      tmp: 'findmnt -no FSTYPE,OPTIONS /tmp; stat -c %a /tmp',
      plan: 'immutafs-agent prepare',
      apply,
      undo: 'immutafs-agent prepare --undo',
      ready: 'immutafs-agent check --ready-to-seal',
    },
  });
  const report = assertSealed(sealed);
  assert.is(checkOf(report, 'initramfs-hook').status, 'pass', 'the image that prepare made');
  assert.match(sealed.step('tmp').stdout, /^tmpfs +rw,nosuid,nodev,noexec,.*\n1777\n$/);
  for (const step of ['plan', 'apply', 'undo', 'ready']) {
    assert.is(sealed.step(step).exit, 1, step);
    assert.match(
      sealed.step(step).stdout,
      /^This guest is sealed: disk vda is read-only\. Shut it down/,
      step,
    );
  }
}

prepare('the same guest as it was does not pass', () =>
  withAgent({ layout: ordinary, edit: makeOrdinary }, async (guest) => {
    const boot = await guest.boot({ disk: 'readonly', steps: look });
    const { exit, report } = statusOf(boot);
    assert.equal(notPassed(report), ['tmp-options', 'swap-off', 'fstab-consistent', 'mtab-link']);
    assert.is(exit, 1);
  }),
);

prepare.run();
