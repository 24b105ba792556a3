import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { denialsOf, denialsStep, parseDenials } from '../harness/denials.ts';
import type { Report } from '../../../agent/report/report.ts';
import {
  assertSealed,
  enforcing,
  look,
  makeWritable,
  statusOf,
  withAgent,
  withoutAgent,
} from '../harness/scenario.ts';
import type { Boot } from '../harness/scenario.ts';

const selinux = suite('SELinux, enforcing');

const steps = {
  denials: denialsStep,
  ...look,
  enforce: 'getenforce',
  label: 'stat -c %C /var /var/log /var/lib',
  root: 'findmnt -no SOURCE,FSTYPE /',
  'at-boot': 'cat /run/immutafs/report.json',
  // Kernel threads and zombies have no memory.
  processes: 'cat /proc/[0-9]*/maps 2>/dev/null | grep -c "r-xp .*\\[vdso\\]"',
  'of-agent': `${denialsStep} | grep -E 'comm="(immutafs-agent|grep|find)"'`,
};

/**
 * A denial that occurs only on a writable disk: systemd-tmpfiles relabels /root, which fails with EROFS on a sealed
 * disk before SELinux decides.
 */
const onlyIfWritable = 'systemd_tmpfiles_t user_home_dir_t dir relabelfrom';

selinux('sealed: exit 0, the overlay has the labels of /var, the agent causes no denials', async () => {
  const boot = await bootOf(withAgent, 'readonly');
  assertSealed(boot);
  assert.is(boot.step('enforce').stdout, 'Enforcing\n');
  assert.match(boot.step('label').stdout, /^\S+:var_t:\S+\n\S+:var_log_t:\S+\n\S+:var_lib_t:\S+\n$/);
  const lines = boot.step('denials').stdout.split('\n');
  assert.equal(
    lines.filter((line) => /dev="overlay"|path="\/(run\/)?var|immutafs/.test(line)),
    [],
  );
  assertProgramsRead(boot);
  // Without the agent, the guest boots only from a writable disk.
  const without = await bootOf(withoutAgent, 'writable', makeWritable);
  assert.is(without.endedBy, 'poweroff');
  assert.is(without.step('root').stdout, '/dev/mapper/rhel-root xfs\n');
  assert.equal(
    denialsOf(boot),
    denialsOf(without).filter((denial) => denial !== onlyIfWritable),
  );
});

/** Under enforcing, status and the check at boot read the maps of every process, and are denied none of them. */
function assertProgramsRead(boot: Boot): void {
  const atBoot = JSON.parse(boot.step('at-boot').stdout) as Report;
  // Processes start and end in between. At boot, there are also the workers of udev, so that only few may be missing.
  for (const [report, most] of [
    [statusOf(boot).report, 10],
    [atBoot, Infinity],
  ] as const) {
    const finding = report.checks.find(({ id }) => id === 'foreign-programs');
    assert.is(finding?.status, 'pass', finding?.observed);
    const [, count = ''] = /^(\d+) processes$/.exec(finding?.observed ?? '') ?? [];
    const present = Number(boot.step('processes').stdout);
    const more = Number(count) - present;
    assert.ok(present > 10 && more > -10 && more < most, `${count} of ${present} processes at ${report.at}`);
  }
  assert.is(boot.step('of-agent').stdout, '');
}

selinux('parseDenials returns each denial once, sorted', () => {
  const line = (target: string, permissions: string): string =>
    `audit: type=1400 audit(1:2): avc:  denied  { ${permissions} } for  pid=1 comm="x" dev="tmpfs" ino=1` +
    ` scontext=system_u:system_r:syslogd_t:s0 tcontext=system_u:object_r:${target}:s0 tclass=dir permissive=0\n`;
  assert.equal(
    parseDenials(line('var_t', 'search write') + line('tmpfs_t', 'search') + line('var_t', 'search')),
    ['syslogd_t tmpfs_t dir search', 'syslogd_t var_t dir search', 'syslogd_t var_t dir write'],
  );
  assert.throws(() => parseDenials('avc:  denied  { search } for pid=1\n'), /not a denial/);
});

/** Boots a guest once in enforcing mode, with or without the agent. */
function bootOf(
  kind: typeof withoutAgent,
  disk: 'readonly' | 'writable',
  edit?: (root: string) => Promise<void>,
): Promise<Boot> {
  return kind({ edit }, (guest) => guest.boot({ disk, allUnits: true, arguments: enforcing, steps }));
}

selinux.run();
