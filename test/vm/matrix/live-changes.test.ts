import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { breaking, changed } from '../harness/breaking.ts';
import { assertFailing, checkOf, configure, look, statusOf, withAgent } from '../harness/scenario.ts';
import { shared } from '../harness/shared.ts';
import { detected, undecidable } from './deceptions.ts';

/** A single boot, because the steps change only the running guest and each step undoes its change. */
const live = suite('root changes a running sealed guest');

/** Makes a change in a writable overlay on /etc. The overlay itself makes `stacked-mounts` fail. */
function inEtc(change: string): string {
  const mount =
    'mkdir -p /run/etc/u /run/etc/w && mount -t overlay -o lowerdir=/etc,upperdir=/run/etc/u,workdir=/run/etc/w etc /etc';
  return breaking(`${mount} && ${change}`, 'umount -l /etc && rm -rf /run/etc');
}

/** By check: a step that makes this check and no other check fail while the overlay is on /etc. */
const inOtherEtc: Record<string, string> = {
  'swap-off': inEtc('echo "UUID=0-0 none swap sw 0 0" >>/etc/fstab'),
  'fstab-consistent': inEtc('sed -i "s,\\( / xfs \\)ro,\\1ro\\,usrquota," /etc/fstab'),
  'mtab-link': inEtc('ln -sfn /run/mtab /etc/mtab'),
  'rivals-off': inEtc('echo overlayroot=tmpfs >/etc/overlayroot.conf'),
};

/** By check: a step that makes this check and no other check fail or warn on a sealed guest. */
const changes: Record<string, string> = {
  'var-overlay': breaking('mount -o remount,bind,nodev,suid /var', 'mount -o remount,bind,nodev,nosuid /var'),
  'var-upper-tmpfs': breaking('mount -t tmpfs -o nosuid,nodev evil /run/var/upper', 'umount /run/var/upper'),
  'var-usage': breaking(
    'fallocate -l $(($(stat -f -c "(%f - %b * 4 / 100) * %S" /run/var))) /var/cache/big',
    'rm /var/cache/big',
  ),
  'state-kept': breaking('mkdir /var/lib/pgsql && echo row >/var/lib/pgsql/1', 'rm -r /var/lib/pgsql'),
  'home-options': breaking('mount -o remount,suid /home', 'mount -o remount,nosuid /home'),
  'tmp-options': breaking('mount -o remount,exec /tmp', 'mount -o remount,noexec /tmp'),
  'other-options': breaking(
    'mount -o remount,bind,nodev,suid /run',
    'mount -o remount,bind,nodev,nosuid /run',
  ),
  'persistent-mounts': breaking('mount --bind /home /mnt', 'umount /mnt'),
  'stacked-mounts': breaking('mount -t tmpfs -o noexec,nosuid,nodev,mode=0755 evil /home', 'umount /home'),
  'initramfs-hook': breaking(
    'cp /run/immutafs/boot.env /run/b && sed -i s/^VERSION=.*/VERSION=0.0.1/ /run/immutafs/boot.env',
    'mv /run/b /run/immutafs/boot.env',
  ),
  footholds: breaking(
    'mount --bind /home /srv && mount -o remount,bind,nosuid,nodev,exec /srv',
    'umount /srv',
  ),
};
const advisory: Record<string, string> = {
  'initramfs-hook': 'warn',
  'state-kept': 'warn',
  footholds: 'warn',
};

const probe = `${look.status} --probe`;
const probes = {
  probed: probe,
  exec: breaking('mount -o remount,exec /tmp', 'mount -o remount,noexec /tmp', probe),
  suid: breaking('mount -o remount,exec,suid /tmp', 'mount -o remount,noexec,nosuid /tmp', probe),
  dev: breaking('mount -o remount,dev /tmp', 'mount -o remount,nodev /tmp', probe),
  left: 'find /tmp /home -xdev -name ".immutafs*"',
};

const fill = (share: number) =>
  `size=$(($(stat -f -c '%b*%S/1048576' /var))); dd if=/dev/zero of=/var/tmp/fill bs=1M count=$((size * ${share} / 100))`;

/** Fills the upper layer of /var, first its space, then its inodes. */
const filling = {
  ...{ half: fill(50), 'half-full': look.status, most: fill(85), 'mostly-full': look.status },
  ...{ all: fill(120), full: look.status, empty: 'rm /var/tmp/fill', emptied: look.status },
  // No program is started for each file. The shell would exit if it were the special built-in `:` that fails.
  inodes: 'i=0; while true >/var/tmp/f$i; do i=$((i + 1)); [ $i -lt 3000 ] || exit 9; done',
  'no-inodes': look.status,
  alive: 'systemctl is-active ssh',
  remove: 'cd /var/tmp && rm f*',
};

const steps = {
  before: look.status,
  ...changes,
  etc: inEtc('true'),
  ...inOtherEtc,
  ...probes,
  ...filling,
  after: look.status,
  ...scripts(undecidable),
  ...scripts(detected),
};

const smallVar = configure(
  'VAR_SIZE=128m\nVAR_INODES=2000\nDATA=/srv:exec\nREQUIRE_OPTIONS=/home:noexec,nosuid,nodev /tmp:noexec,nosuid,nodev /run:nosuid,nodev\n',
);

const booted = shared(() =>
  withAgent({ edit: smallVar }, (guest) =>
    guest.boot({ disk: 'readonly', allUnits: true, steps, limitSeconds: 900 }),
  ),
);

live('each change is found by its own check and by no other', async () => {
  const boot = await booted();
  assertFailing(boot, 'before', [], 0);
  // The overlay hides its own lower layer, so nothing shows that no program can write there.
  assert.equal(changed(boot, 'etc'), { 'stacked-mounts': 'fail', 'persistent-mounts': 'fail' });
  for (const id of Object.keys({ ...changes, ...inOtherEtc })) {
    const other = id in inOtherEtc ? 'etc' : 'before';
    assert.equal(changed(boot, id, other), { [id]: advisory[id] ?? 'fail' }, id);
    assert.is(statusOf(boot, id).exit, id in advisory ? 0 : 1, id);
    assert.ok(checkOf(statusOf(boot, id).report, id).remedy.length > 0, id);
  }
  const { largest } = statusOf(boot, 'var-usage').report.var;
  assert.is(largest[0]?.path, '/var/cache/big');
});

live(
  '--probe tries the operations that the mount options forbid, and finds those that the options permit',
  async () => {
    const boot = await booted();
    for (const id of ['exec-probe', 'suid-probe', 'device-probe']) {
      const { status, observed } = checkOf(statusOf(boot, 'probed').report, id);
      assert.is(status, 'pass', `${id}: ${observed}`);
    }
    const expected = {
      exec: { 'tmp-options': 'fail', 'exec-probe': 'fail' },
      suid: { 'tmp-options': 'fail', 'exec-probe': 'fail', 'suid-probe': 'fail' },
      dev: { 'tmp-options': 'fail', 'device-probe': 'fail' },
    };
    for (const [step, checks] of Object.entries(expected)) {
      assert.equal(changed(boot, step, 'probed'), checks, step);
    }
    assert.is(boot.step('left').stdout, '', 'files that probes left');
  },
);

live(
  'the upper layer fills up: ENOSPC, the guest keeps running, var-usage warns and then fails',
  async () => {
    const boot = await booted();
    assertFailing(boot, 'half-full', [], 0);
    const warned = statusOf(boot, 'mostly-full');
    assert.is(checkOf(warned.report, 'var-usage').status, 'warn');
    assert.is(warned.exit, 0);
    assert.match(boot.step('all').stderr, /No space left on device/);
    assertFailing(boot, 'full', ['var-usage']);
    assertFailing(boot, 'emptied', [], 0);
    assert.match(boot.step('inodes').stderr, /No space left on device/);
    assertFailing(boot, 'no-inodes', ['var-usage']);
    assert.is(boot.step('alive').stdout, 'active\n');
  },
);

live('after the changes, every check is as before', async () => {
  const boot = await booted();
  assertFailing(boot, 'after', [], 0);
  assert.equal(changed(boot, 'after'), {});
});

live('deceptions that the agent cannot decide: the verdict is unknown', async () => {
  const boot = await booted();
  for (const [name, [, observed]] of Object.entries(undecidable)) {
    const { report, exit } = statusOf(boot, `deceived-${name}`);
    assert.equal([report.verdict, exit], ['unknown', 3], name);
    assert.match(checkOf(report, 'kernel-view').observed, observed, name);
  }
});

live('deceptions that the agent detects: the checks that fail name them', async () => {
  const boot = await booted();
  for (const [name, [, ids, observed]] of Object.entries(detected)) {
    const { report, exit } = statusOf(boot, `deceived-${name}`);
    const failing = report.checks.filter(({ status }) => status === 'fail' || status === 'error');
    assert.equal(
      failing.map(({ id }) => id),
      ids,
      name,
    );
    assert.match(failing[0]?.observed ?? '', observed, name);
    assert.is(exit, ids.length > 0 ? 1 : 0, name);
    assert.is(report.mode, 'sealed', name);
  }
});

/** Returns the scripts with a prefix in their keys, because `detected` and `changes` have common keys. */
function scripts(entries: Record<string, [script: string, ...unknown[]]>): Record<string, string> {
  return Object.fromEntries(Object.entries(entries).map(([name, [script]]) => [`deceived-${name}`, script]));
}

live.run();
