import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Report } from '../../../agent/report/report.ts';
import { denialsOf, denialsStep, linesAtPowerOff, printDenialsAtPowerOff } from '../harness/denials.ts';
import type { Edit } from '../harness/disk.ts';
import {
  assertWholeBoot,
  untilForwarder,
  untilState,
  withForwardingGuest,
} from '../harness/forwarding-guest.ts';
import { receivedBy } from '../harness/log-server.ts';
import { type Boot, assertSealed, checkOf, enforcing, look, statusOf } from '../harness/scenario.ts';
import { shared } from '../harness/shared.ts';
import { assertSearchable, assertTrail, trailSteps } from './audit-trail.ts';

/** The tests share one boot of an enforcing guest that forwards. */
const domains = suite('the SELinux module: domains of the services, and the audit trail');

/** Belongs to root, because root in the domain may not write to a directory of another user. */
const state = '/run/immutafs/forward/impostor';

/**
 * What a program in place of the forwarder tries as root, without the restrictions of the unit, so that only SELinux can
 * prevent it.
 */
const attempts: Record<string, string> = {
  'reads the audit trail': 'cat /var/log/audit/audit.log',
  'writes its state': `echo x >${state}/attempt`,
  'reads /root': 'cat /root/secret',
  'reads /home': 'cat /home/alice/secret',
  'reads /etc/shadow': 'cat /etc/shadow',
  'reads memory of systemd': 'cat /proc/1/environ',
  'writes /run': 'echo x >/run/attempt',
  'writes /run/immutafs': 'echo x >/run/immutafs/attempt',
  'writes /var/lib': 'echo x >/var/lib/attempt',
  'writes /var/log': 'echo x >/var/log/attempt',
  'writes /var/tmp': 'echo x >/var/tmp/attempt',
  'writes /dev/shm': 'echo x >/dev/shm/attempt',
  listens: `perl -MSocket -e 'socket(S, PF_INET, SOCK_STREAM, 0) && listen(S, 1) or exit 1'`,
  'opens a raw socket': `perl -MSocket -e 'socket(S, PF_INET, SOCK_RAW, 1) or exit 1'`,
  'runs mount': 'mount --version',
  'signals a process': 'kill -0 1',
};
const allowed = ['reads the audit trail', 'writes its state'];

/** Prints the domain and the attempts that succeed. */
const impostor = `#!/bin/sh
exec >${state}/attempts 2>/dev/null
tr -d '\\0' </proc/self/attr/current
echo
${Object.entries(attempts)
  .map(([name, command]) => `(${command}) >/dev/null && echo '${name}'`)
  .join('\n')}
exit 0
`;

/**
 * Makes the policy as strict as that of RHEL: the compiler verifies the neverallow rules, and the directory by which
 * systemctl recognises systemd has the type of the directories of units (file_contexts.subs_dist).
 */
const likeRhel = `
    sed -i 's/^#* *expand-check *=.*/expand-check=1/' /etc/selinux/semanage.conf
    grep -q '^expand-check=1$' /etc/selinux/semanage.conf
    semodule -n -s default -B
    echo /run/systemd/system /usr/lib/systemd/system >>/etc/selinux/default/contexts/files/file_contexts.subs_dist
    setfiles -F /etc/selinux/default/contexts/files/file_contexts /etc/selinux /var/lib/selinux`;

/** Puts FORWARD_STATE on a data disk without labels, forwards a second log file, and adds the impostor. */
const prepare: Edit = async (root, mounts) => {
  await printDenialsAtPowerOff(root, mounts);
  const script = `install -d -m 0700 -o immutafs-forward /home/forward
    echo FORWARD_STATE=/home/forward >>/etc/immutafs/immutafs.conf
    echo 'FORWARD_FILES=/var/log/audit/audit.log /var/log/app.log' >>/etc/immutafs/immutafs.conf
    echo line >/var/log/app.log
    echo x >/root/secret
    mkdir -p /home/alice && echo x >/home/alice/secret && chmod 755 /home/alice
    printf '%s' "$1" | tee /usr/local/bin/confined >/usr/local/bin/unconfined
    chmod 755 /usr/local/bin/*confined
    setfiles -F /etc/selinux/default/contexts/files/file_contexts /usr/local/bin /var/log/app.log /root /home/alice
    setfattr -n security.selinux -v system_u:object_r:immutafs_forward_exec_t:s0 /usr/local/bin/confined${likeRhel}`;
  await mounts.chroot('sh', '-ec', script, 'sh', impostor);
};

const mainOf = (unit: string) => `systemctl show --property MainPID ${unit} | sed s/.*=//`;
const dropin = '/run/systemd/system/immutafs-rehearsal.service.d';
const anotherProgram = '[Service]\\nExecStart=\\nExecStart=/bin/sleep 300\\nExecStopPost=\\n';
const asService = 'systemd-run --quiet --wait --property StandardOutput=null';
const line = 'another line\n';
const steps = {
  enforce: 'getenforce',
  booted: 'stat -c %C /run/systemd/system',
  connected: untilState('connected'),
  ...trailSteps,
  label:
    'for i in $(seq 100); do test -e /home/forward/checkpoint && break; sleep 0.2; done; ' +
    'stat -c %C /home/forward /home/forward/checkpoint',
  forwarder: `cat /proc/$(${mainOf('immutafs-forward')})/attr/current`,
  // systemd knows the PID before the process runs the agent, and until then the domain is that of systemd.
  check:
    'systemctl start --no-block immutafs-drift; for i in $(seq 300); do ' +
    `p=$(${mainOf('immutafs-drift')}); [ "$(readlink /proc/$p/exe)" != /usr/bin/immutafs-agent ] || ` +
    'exec cat /proc/$p/attr/current; done; exit 1',
  app: `printf '${line}' >>/var/log/app.log; ${untilForwarder(`"path":"/var/log/app.log","acknowledgedBytes":${line.length},`)}`,
  changes: `${asService} immutafs-agent changes --json`,
  'at-boot': 'cat /run/immutafs/report.json',
  ...look,
  denials: denialsStep,
};
const attack = {
  confined: `mkdir ${state} && systemd-run --quiet --wait confined; cat ${state}/attempts`,
  'denials-of-confined': denialsStep,
  unconfined: `systemd-run --quiet --wait unconfined; cat ${state}/attempts`,
  // The recorder, which runs only in a rehearsal, replaced by another program.
  wrong: `mkdir -p ${dropin} && printf '${anotherProgram}' >${dropin}/sleep.conf && systemctl daemon-reload &&
    systemctl start immutafs-rehearsal && ${look.status}; systemctl stop immutafs-rehearsal`,
};

const booted = shared(() =>
  withForwardingGuest({ edit: prepare }, async (start, log) => {
    log.start();
    const options = { arguments: enforcing, steps: { ...steps, ...attack }, limitSeconds: 900 };
    return { boot: await start(options), received: receivedBy(log) };
  }),
);

/** A permissive guest would not show more: only a denial prevents a service from reaching accesses that are denied later. */
domains('enforcing: each service has its domain, and is denied nothing until power-off', async () => {
  const { boot } = await booted();
  assert.is(boot.step('enforce').stdout, 'Enforcing\n');
  assert.match(boot.step('booted').stdout, ':systemd_unit_t:');
  assertDomains(boot);
  assert.equal(ofAgent(denialsOf(boot)), []);
  assert.equal(ofAgent(linesAtPowerOff(boot)), []);
});

domains('a program in place of the forwarder can do only what the forwarder needs', async () => {
  assertConfined((await booted()).boot);
});

domains('a service that runs in another domain is reported', async () => {
  const { status, observed } = checkOf(statusOf((await booted()).boot, 'wrong').report, 'selinux-domain');
  assert.is(status, 'warn');
  assert.match(observed, /immutafs-rehearsal\.service runs in (initrc_t|init_t), not immutafs_t/);
});

domains('the server receives everything from the first kernel line to the last unit that stops', async () => {
  const { boot, received } = await booted();
  assertWholeBoot(boot, received);
});

domains('the server has the audit trail as auditd wrote it, across a rotation', async () => {
  const { boot, received } = await booted();
  assert.is(checkOf(assertSealed(boot), 'audit-forwarded').status, 'pass');
  assertTrail(boot, received);
  const denials = boot.step('denials').stdout;
  assert.match(denials, 'denied', 'the denials were collected');
  assert.not.match(denials, /auditd_log_t|immutafs|comm="(node|read-journal|journalctl)"/);
});

domains('ausearch reads the server’s copy of the audit trail', async () => {
  await assertSearchable((await booted()).received);
});

/** Asserts the domain of each running service, as the kernel and the check report it. */
function assertDomains(boot: Boot): void {
  for (const step of ['connected', 'label', 'forwarder', 'check', 'changes'])
    assert.is(boot.step(step).exit, 0, `${step}: ${boot.step(step).stderr}`);
  assert.match(boot.step('forwarder').stdout, /^system_u:system_r:immutafs_forward_t:s0/);
  assert.match(boot.step('check').stdout, /^system_u:system_r:immutafs_t:s0/);
  assert.is(boot.step('label').stdout, 'system_u:object_r:immutafs_forward_state_t:s0\n'.repeat(2));
  const report = assertSealed(boot);
  assert.is(checkOf(report, 'forward-healthy').status, 'pass');
  const source = report.forward?.sources.find(({ path }) => path === '/var/log/app.log');
  assert.equal([source?.acknowledgedBytes, source?.error], [line.length, '']);
  const now = checkOf(report, 'selinux-domain');
  assert.equal([now.status, now.observed], ['pass', 'immutafs_forward_t']);
  const atBoot = checkOf(JSON.parse(boot.step('at-boot').stdout) as Report, 'selinux-domain');
  assert.is(atBoot.status, 'pass', atBoot.observed);
  assert.match(atBoot.observed, /^immutafs_t( |$)/);
}

/** The denials that concern the domains and types of the module. */
const ofAgent = (denials: readonly string[]): string[] => denials.filter((denial) => /immutafs/.test(denial));

/** Asserts that a program in place of the forwarder can do only what the forwarder needs. */
function assertConfined(boot: Boot): void {
  const lines = (step: string): string[] => boot.step(step).stdout.trimEnd().split('\n');
  assert.equal(lines('confined'), ['system_u:system_r:immutafs_forward_t:s0', ...allowed]);
  assert.equal(lines('unconfined'), ['system_u:system_r:initrc_t:s0', ...Object.keys(attempts)]);
  const denials = denialsOf(boot, 'denials-of-confined');
  for (const denial of ['shadow_t file read', 'user_home_dir_t dir search', 'var_run_t dir write'])
    assert.ok(denials.includes(`immutafs_forward_t ${denial}`), `${denial}: ${ofAgent(denials).join('; ')}`);
}

domains.run();
