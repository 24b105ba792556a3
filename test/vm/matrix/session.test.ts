import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { denialsOf, denialsStep } from '../harness/denials.ts';
import { assertSealed, checkOf, enforcing, look, statusOf, withAgent } from '../harness/scenario.ts';
import { repository, sessionTree } from '../harness/session-tree.ts';
import { shared } from '../harness/shared.ts';

/** The ways in which something could leave a session are in session-leaks.test.ts. */
const sessions = suite('sessions with temporary tools');

/** Runs lines in a session, as a file, so that they need no quotes. */
const inSession = (lines: string, options = '--allow-install') =>
  `cat >/run/lines.sh <<'END'\n${lines}\nEND\nimmutafs-agent session ${options} -- sh /run/lines.sh`;
/** Starts a session that lives until its process ends, and waits until it has done the lines. */
const begin = (name: string, lines: string, options = '--allow-install') =>
  `printf '%s\\n' ${JSON.stringify(`${lines}; touch /run/${name}; exec sleep 5000`)} >/run/${name}.sh
systemd-run --quiet --unit=client-${name} immutafs-agent session ${options} -- sh /run/${name}.sh
for try in $(seq 600); do [ ! -e /run/${name} ] || break; sleep 0.2; done; test -e /run/${name}`;

/** What a session must leave as it was. */
const traces = `cut -d ' ' -f 5- /proc/self/mountinfo; dpkg-query --show; rpm -qa | sort
ls -A /run/immutafs/sessions /usr/bin /etc /opt; pgrep -fa '/run/.*[.]sh|sleep 5000'
systemctl list-units --all --plain --no-legend 'immutafs-session*'`;

const strace = `dpkg --install ${repository}/*.deb >&2`;

const steps = {
  ...look,
  outside: 'systemd-run --quiet --unit=outside sleep 4321 && mkdir -p /run/immutafs/sessions',
  before: traces,
  'rpm-refused': `rpm -i ${repository}/noarch/*.rpm`,
  'dnf-refused': 'dnf --assumeyes install session-tool',
  'no-install': inSession(
    `touch /etc/session && echo etc; touch /usr/session; rpm -i ${repository}/noarch/*.rpm`,
    '',
  ),
  trace: inSession(`${strace}
timeout 5 strace -f -o /run/trace -p "$(systemctl show --property MainPID --value outside)"
cat /run/trace; id --user`),
  dnf: inSession('dnf --assumeyes install session-tool >&2 && session-tool'),
  after: traces,
  first: begin('first', strace),
  second: begin('second', `rpm -i ${repository}/noarch/*.rpm`),
  both: look.status,
  changes: 'immutafs-agent changes >/dev/null',
  separate: 'ls /usr/bin/strace /usr/bin/session-tool',
  // The client is killed, and then the process that waits for its end.
  killed: `systemctl kill --signal=KILL client-first; systemctl kill --kill-whom=main --signal=KILL immutafs-session@2
for try in $(seq 300); do [ -n "$(ls -A /run/immutafs/sessions)" ] || break; sleep 0.2; done`,
  'after-killed': traces,
  memory: inSession('tail /dev/zero; code=$?; echo "tail: $code"; exit "$code"'),
  full: inSession('dd if=/dev/zero of=/usr/big bs=1M; rm /usr/big; echo ok', '--allow-install --size 16m'),
  'after-memory': traces,
  limit: `time=$(date +%s); ${inSession('exec sleep 5000', '--limit 60s')}; code=$?; echo $(($(date +%s) - time)); exit $code`,
  'after-limit': traces,
  last: look.status,
  failed: look.failed,
  journal: 'journalctl -b -o cat --no-pager -t immutafs-agent | grep "^Session"',
};

const open = { ...look, open: begin('open', strace) };
const confined = {
  ...look,
  trace: inSession(`${strace}; strace -V; ls -Z /usr/bin/strace; touch /etc/session; ls -Z /etc/session`),
  'policy-refused': inSession('load_policy'),
  'policy-permitted': inSession('load_policy', '--allow-policy-load'),
  'policy-outside': 'load_policy',
  denials: denialsStep,
};

const booted = shared(async () =>
  withAgent({ tree: await sessionTree() }, async (guest) => {
    const first = await guest.boot({ disk: 'readonly', steps, limitSeconds: 1500 });
    const cut = await guest.boot({ disk: 'readonly', steps: open, powerCutAfter: 'open' });
    const next = await guest.boot({ disk: 'readonly', steps: confined, arguments: enforcing });
    return { first, cut, next };
  }),
);

sessions('tools are installed, a process outside is traced, and nothing is left', async () => {
  const { first } = await booted();
  assertSealed(first);
  const { exit, stdout, stderr } = first.step('trace');
  assert.is(exit, 0, stderr);
  assert.match(stdout, /(clock_nanosleep|restart_syscall)[^]*\n0\n$/);
  assert.is(first.step('dnf').stdout, 'tool\n', first.step('dnf').stderr);
  assert.is(first.step('after').stdout, first.step('before').stdout);
});
sessions('without --allow-install, and outside, package managers refuse and name the session', async () => {
  const { first } = await booted();
  for (const name of ['rpm-refused', 'dnf-refused', 'no-install']) {
    assert.is.not(first.step(name).exit, 0, name);
    assert.match(first.step(name).stderr, /immutafs-agent session --allow-install/, name);
  }
  assert.is(first.step('no-install').stdout, 'etc\n');
  assert.match(first.step('no-install').stderr, /\/usr\/session.*Read-only file system/);
});
sessions('two sessions at once: status, changes and foreign-programs name both', async () => {
  const { first } = await booted();
  const { report } = statusOf(first, 'both');
  assert.is(checkOf(report, 'session-absent').status, 'warn');
  assert.equal(
    report.sessions.map(({ id, installed }) => [id, installed?.map((each) => each.split(' ')[0])]),
    [
      [1, ['libunwind8', 'strace']],
      [2, ['session-tool']],
    ],
  );
  const reasons = new Set(report.programs?.list.map(({ why, reason }) => `${why}: ${reason}`));
  assert.ok(reasons.has('session: in session 1 of root'), [...reasons].join());
  assert.ok(reasons.has('session: in session 2 of root'), [...reasons].join());
  assert.match(first.step('changes').stderr, /session 1 of root[^]*session 2 of root/);
  assert.is(checkOf(statusOf(first).report, 'session-absent').status, 'pass');
  assert.is(first.step('separate').stdout, '');
});
sessions('killed sessions, no memory, the time limit: everything ends, and nothing is left', async () => {
  const { first } = await booted();
  for (const name of ['after-killed', 'after-memory', 'after-limit'])
    assert.is(first.step(name).stdout, first.step('before').stdout, name);
  // From version 253 on, systemd ends the whole scope (OOMPolicy=stop).
  assert.ok([137, 143].includes(first.step('memory').exit), `${first.step('memory').exit}`);
  assert.match(first.step('memory').stdout, /^(tail: 137\n)?$/);
  assert.is(first.step('full').stdout, 'ok\n');
  assert.match(first.step('full').stderr, /No space left on device/);
  const { exit, stdout, stderr } = first.step('limit');
  assert.ok(exit > 128, `exit code ${exit}`);
  assert.ok(Number(stdout) >= 60 && Number(stdout) < 150, stdout);
  assert.match(stderr, /was ended at its time limit/);
  const { report, exit: code } = statusOf(first, 'last');
  assert.equal([report.verdict, code, report.sessions], ['sealed', 0, []]);
});
sessions('the journal has start and end of each, with the packages', async () => {
  const { first } = await booted();
  const { stdout } = first.step('journal');
  assert.match(stdout, /^Session 1 of root .* ended; installed: libunwind8 \S+, strace \S+$/m);
  assert.match(stdout, /^Session \d of root .* ended at its time limit; no package was installed$/m);
  assert.is(stdout.match(/ began/g)?.length, stdout.match(/ ended/g)?.length, stdout);
});
sessions('a power cut in a session harms nothing', async () => {
  const { cut, next } = await booted();
  assert.is(cut.endedBy, 'power-cut');
  assert.is(cut.step('open').exit, 0, cut.step('open').stderr);
  const report = assertSealed(next);
  assert.is(checkOf(report, 'session-absent').status, 'pass');
});
sessions('SELinux in enforcing mode', async () => {
  const { next } = await booted();
  const { exit, stdout, stderr } = next.step('trace');
  assert.is(exit, 0, stderr);
  assert.match(stdout, /:bin_t:s0 \/usr\/bin\/strace\n.*:etc_runtime_t:s0 \/etc\/session\n$/);
  assert.ok(denialsOf(next).length > 0);
  const ofSession = next
    .step('denials')
    .stdout.split('\n')
    .filter((line) => /immutafs|dev="?overlay|session/.test(line));
  assert.equal(ofSession, []);
});

sessions(
  'a program of a session loads an SELinux policy only with the option, which says that it stays',
  async () => {
    const { next } = await booted();
    const [refused, permitted, outside] = ['refused', 'permitted', 'outside'].map((name) =>
      next.step(`policy-${name}`),
    );
    assert.equal([refused?.exit, permitted?.exit, outside?.exit], [2, 0, 0]);
    assert.match(refused?.stderr ?? '', /load_policy:.*Read-only file system/);
    assert.match(permitted?.stderr ?? '', /stays in the kernel until the reboot/);
  },
);

sessions.run();
