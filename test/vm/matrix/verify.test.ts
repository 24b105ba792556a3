import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { driftMessage } from '../../../agent/report/log-messages.ts';
import type { Report } from '../../../agent/report/report.ts';
import { type Boot, checkOf, enforcing, statusOf, withAgent } from '../harness/scenario.ts';

const verify = suite('every check, seen to fail in a guest');

const status = 'immutafs-agent status --json';
const configure = (text: string) => (root: string) =>
  appendFile(join(root, 'etc/immutafs/immutafs.conf'), text);

/** A step that breaks something, asks, and mends it. */
function breaking(breakIt: string, mend: string, ask = status): string {
  return `{ ${breakIt}; } >&2 || exit 99; ${ask}; code=$?; { ${mend}; } >&2 || exit 98; exit $code`;
}

/** With a copy of /etc in memory in its place, which may be written; stacked-mounts says so each time. */
function inEtc(change: string): string {
  const mount =
    'mkdir -p /run/etc/u /run/etc/w && mount -t overlay -o lowerdir=/etc,upperdir=/run/etc/u,workdir=/run/etc/w etc /etc';
  return breaking(`${mount} && ${change}`, 'umount -l /etc && rm -rf /run/etc');
}

/** The checks whose status is another than in an earlier step. */
function changed(boot: Boot, step: string, earlier = 'before'): Record<string, string> {
  const { report: before } = statusOf(boot, earlier);
  const { report } = statusOf(boot, step);
  const different = report.checks.filter((check) => check.status !== checkOf(before, check.id).status);
  return Object.fromEntries(different.map(({ id, status: now }) => [id, now]));
}

/** What makes this check, and no other, fail where /etc is another already. */
const inOtherEtc: Record<string, string> = {
  'swap-off': inEtc('echo "UUID=0-0 none swap sw 0 0" >>/etc/fstab'),
  'fstab-consistent': inEtc('sed -i "s,\\( / xfs \\)ro,\\1ro\\,usrquota," /etc/fstab'),
  'mtab-link': inEtc('ln -sfn /run/mtab /etc/mtab'),
  'rivals-off': inEtc('echo overlayroot=tmpfs >/etc/overlayroot.conf'),
};

/** What makes this check, and no other, fail or warn on a sealed guest. */
const live: Record<string, string> = {
  'var-overlay': breaking('mount -o remount,bind,nodev,suid /var', 'mount -o remount,bind,nodev,nosuid /var'),
  'var-upper-tmpfs': breaking('mount -t tmpfs -o nosuid,nodev evil /run/var/upper', 'umount /run/var/upper'),
  'var-usage': breaking(
    'fallocate -l $(($(stat -f -c "%b * %S" /run/var) * 96 / 100)) /var/big',
    'rm /var/big',
  ),
  'home-options': breaking('mount -o remount,suid /home', 'mount -o remount,nosuid /home'),
  'tmp-options': breaking('mount -o remount,exec /tmp', 'mount -o remount,noexec /tmp'),
  'other-options': breaking(
    'mount -o remount,bind,nodev,suid /run',
    'mount -o remount,bind,nodev,nosuid /run',
  ),
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
const advisory: Record<string, string> = { 'initramfs-hook': 'warn', footholds: 'warn' };

verify('what is changed in a running guest is found by its own check, and by no other', () =>
  withAgent(
    {
      edit: configure(
        'REQUIRE_OPTIONS=/home:noexec,nosuid,nodev /tmp:noexec,nosuid,nodev /run:nosuid,nodev\n',
      ),
    },
    async (guest) => {
      const steps = { before: status, ...live, etc: inEtc('true'), ...inOtherEtc, after: status };
      const boot = await guest.boot({ disk: 'readonly', steps });
      assert.is(statusOf(boot, 'before').report.verdict, 'sealed');
      assert.equal(changed(boot, 'etc'), { 'stacked-mounts': 'fail' });
      for (const id of Object.keys({ ...live, ...inOtherEtc })) {
        assert.equal(
          changed(boot, id, id in inOtherEtc ? 'etc' : 'before'),
          { [id]: advisory[id] ?? 'fail' },
          id,
        );
        assert.is(statusOf(boot, id).exit, id in advisory ? 0 : 1, id);
        assert.ok(checkOf(statusOf(boot, id).report, id).remedy.length > 0, id);
      }
      assert.equal(changed(boot, 'after'), {});
      const { largest } = statusOf(boot, 'var-usage').report.var;
      assert.is(largest[0]?.path, '/var/big');
    },
  ),
);

verify('somebody asks for a relabelling on the kernel command line: the boot does not try it for ever', () =>
  withAgent({}, async (guest) => {
    const words = [...enforcing, 'autorelabel=1'];
    const boot = await guest.boot({ disk: 'readonly', arguments: words, steps: { status } });
    const { report, exit } = statusOf(boot);
    assert.is(exit, 1);
    assert.equal(failing(report), ['autorelabel-absent']);
  }),
);

verify('a label that is not the policy’s, and a label that the boot could not set', () =>
  withAgent({ edit: labelNothing }, async (guest) => {
    const steps = {
      atBoot: 'systemctl status immutafs-var.service',
      before: status,
      tmp: breaking('chcon -t tmpfs_t /tmp', 'restorecon -F /tmp'),
      var: breaking('chcon -t usr_t /var', 'restorecon -F /var'),
      after: status,
    };
    const boot = await guest.boot({ disk: 'readonly', arguments: enforcing, steps });
    assert.match(boot.step('atBoot').stdout, /chcon: .*'\/nothing': No such file or directory/);
    assert.is(checkOf(statusOf(boot, 'before').report, 'selinux-labels').status, 'pass');
    for (const [step, said] of [
      ['tmp', '/tmp is tmpfs_t'],
      ['var', '/var is usr_t, not var_t'],
    ] as const) {
      assert.equal(changed(boot, step), { 'selinux-labels': 'fail' });
      assert.match(checkOf(statusOf(boot, step).report, 'selinux-labels').observed, said);
    }
    assert.equal(changed(boot, 'after'), {});
  }),
);

/** Before journald has started. */
async function labelNothing(root: string): Promise<void> {
  const folder = join(root, 'etc/systemd/system/immutafs-var.service.d');
  await mkdir(folder);
  await writeFile(join(folder, 'nothing.conf'), '[Service]\nExecStartPre=-/bin/chcon -t var_t /nothing\n');
}

verify(
  'what is sealed by the guest alone can be undone by root, and then is found by claim and by deed',
  () =>
    withAgent({ edit: configure('MODE=sealed\n') }, async (guest) => {
      const steps = {
        before: status,
        root: breaking('mount -o remount,rw /', 'mount -o remount,ro /'),
        boot: breaking('mount -o remount,rw /boot', 'mount -o remount,ro /boot'),
        after: status,
      };
      const boot = await guest.boot({ disk: 'writable', steps });
      const { report } = statusOf(boot, 'before');
      assert.equal([report.verdict, report.enforcement], ['sealed', 'guest']);
      assert.equal(
        ['host-enforced', 'kernel-lockdown-hints'].map((id) => checkOf(report, id).status),
        ['warn', 'warn'],
      );
      assert.equal(changed(boot, 'root'), {
        'root-readonly': 'fail',
        'root-write-probe': 'fail',
        footholds: 'warn',
      });
      assert.equal(changed(boot, 'boot'), {
        'boot-readonly': 'fail',
        'root-write-probe': 'fail',
        footholds: 'warn',
      });
      assert.equal(changed(boot, 'after'), {});
    }),
);

verify('--probe does what the options forbid', () =>
  withAgent({}, async (guest) => {
    const probe = `${status} --probe`;
    const steps = {
      before: probe,
      exec: breaking('mount -o remount,exec /tmp', 'mount -o remount,noexec /tmp', probe),
      suid: breaking('mount -o remount,exec,suid /tmp', 'mount -o remount,noexec,nosuid /tmp', probe),
      dev: breaking('mount -o remount,dev /tmp', 'mount -o remount,nodev /tmp', probe),
      left: 'find /tmp /home -xdev -name ".immutafs*"',
    };
    const boot = await guest.boot({ disk: 'readonly', steps });
    for (const id of ['exec-probe', 'suid-probe', 'device-probe']) {
      assert.is(checkOf(statusOf(boot, 'before').report, id).status, 'pass', id);
    }
    assert.equal(changed(boot, 'exec'), { 'tmp-options': 'fail', 'exec-probe': 'fail' });
    assert.equal(changed(boot, 'suid'), {
      'tmp-options': 'fail',
      'exec-probe': 'fail',
      'suid-probe': 'fail',
    });
    assert.equal(changed(boot, 'dev'), { 'tmp-options': 'fail', 'device-probe': 'fail' });
    assert.is(boot.step('left').stdout, '');
  }),
);

verify('a change is in the journal within a minute, once; no message where nothing changed', () =>
  withAgent({}, async (guest) => {
    const messages = `journalctl -b -t immutafs-agent -o json MESSAGE_ID=${driftMessage.messageId}`;
    const until = (status: string, seconds: number) =>
      `since=$(date +%s); until ${messages} IMMUTAFS_STATUS=${status} | grep -q .; do [ $(($(date +%s) - since)) -lt ${seconds} ] || exit 9; sleep 1; done; echo $(($(date +%s) - since))`;
    const steps = {
      // The first run of the timer, two minutes after the boot.
      first:
        'until systemctl show -p ExecMainExitTimestampMonotonic immutafs-drift.service | grep -q "=[1-9]"; do sleep 1; done',
      quiet: messages,
      noticed: `mount -o remount,exec /tmp && ${until('fail', 90)}`,
      mended: `mount -o remount,noexec /tmp && ${until('pass', 90)}`,
      all: messages,
      failed: 'systemctl is-failed immutafs-drift.service',
      catalog: `journalctl -b -x MESSAGE_ID=${driftMessage.messageId}`,
      report: 'cat /run/immutafs/report.json',
    };
    const boot = await guest.boot({ disk: 'readonly', steps, limitSeconds: 600 });
    assert.is(boot.step('quiet').stdout, '');
    for (const step of ['noticed', 'mended']) {
      assert.is(boot.step(step).exit, 0, boot.step(step).stderr);
      assert.ok(Number(boot.step(step).stdout) <= 65, `${step} after ${boot.step(step).stdout} s`);
    }
    const entries = boot
      .step('all')
      .stdout.trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, string>);
    assert.equal(
      entries.map((entry) => ['CHECK', 'OLD_STATUS', 'STATUS'].map((name) => entry[`IMMUTAFS_${name}`])),
      [
        ['tmp-options', 'pass', 'fail'],
        ['tmp-options', 'fail', 'pass'],
      ],
    );
    assert.match(entries[0]?.['IMMUTAFS_REMEDY'] ?? '', 'remount,noexec');
    assert.is(boot.step('failed').stdout, 'inactive\n');
    assert.match(boot.step('catalog').stdout, driftMessage.documentation.title);
    const report = JSON.parse(boot.step('report').stdout) as Report;
    assert.is(report.boot?.stage, 'initramfs');
    assert.ok((report.boot?.ageSeconds ?? 0) > 120);
  }),
);

function failing(report: Report): string[] {
  return report.checks
    .filter((check) => check.status === 'fail' || check.status === 'error')
    .map(({ id }) => id);
}

verify.run();
