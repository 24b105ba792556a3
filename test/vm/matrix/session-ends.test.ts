/** What works in a session, and what remains after each way in which it ends (docs/session.md). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Report } from '../../../agent/report/report.ts';
import { runInContainer } from '../harness/container.ts';
import { checkOf } from '../harness/scenario.ts';
import { repository, sessionTree } from '../harness/session-tree.ts';
import { shared } from '../harness/shared.ts';

/** Runs lines in a session, as a file, so that they need no quotes. */
const inSession = (lines: string, options = '--allow-install') =>
  `cat >/run/lines.sh <<'END'\n${lines}\nEND\nimmutafs-agent session ${options} -- sh /run/lines.sh`;
/** Starts a session that lives until its process ends, and waits until it has done the lines. */
const begin = (name: string, lines: string) =>
  `cat >/run/${name}.sh <<'END'\n${lines}\ntouch /run/${name}\nexec sleep 5000\nEND
systemd-run --quiet --unit=client-${name} immutafs-agent session --allow-install -- sh /run/${name}.sh
for try in $(seq 600); do [ ! -e /run/${name} ] || break; sleep 0.2; done; test -e /run/${name}`;
const ended =
  'for try in $(seq 300); do [ -n "$(ls -A /run/immutafs/sessions)" ] || break; sleep 0.2; done; sleep 2';
/** What a session must leave as it was. */
const traces = `cut -d ' ' -f 5- /proc/self/mountinfo; dpkg-query --show; rpm -qa | sort
ls -A /run/immutafs/sessions /usr/bin /etc /opt; pgrep -fa 'run/(lines|first|second).sh|sleep 5000'
systemctl list-units --all --plain --no-legend 'immutafs-session*'`;
const strace = `dpkg --install ${repository}/*.deb >&2`;
const tool = `rpm -i --nodeps ${repository}/noarch/*.rpm`;

const useful = {
  outside: 'systemd-run --quiet --unit=outside sleep 4321; mkdir -p /run/immutafs/sessions',
  before: traces,
  trace: inSession(`${strace}
timeout 5 strace -f -o /run/trace -p "$(systemctl show --property MainPID --value outside)"
cat /run/trace; id --user`),
  dnf: inSession('dnf --assumeyes install session-tool >&2 && session-tool'),
  code: inSession('exit 42'),
  after: traces,
  first: begin('first', strace),
  second: begin('second', tool),
  // The session lists its packages every second.
  both: `for try in $(seq 300); do grep -q session-tool /run/immutafs/sessions/2/installed && break; sleep 0.2; done
immutafs-agent status --json`,
};

const endings = {
  before: `mkdir -p /run/immutafs/sessions; ${traces}`,
  first: begin('first', strace),
  second: begin('second', tool),
  // The client is killed, and in the other session the process that waits for the end of the client.
  killed: `systemctl kill --signal=KILL client-first
systemctl kill --kill-whom=main --signal=KILL immutafs-session@2
${ended}; systemctl reset-failed`,
  'after-killed': traces,
  full: inSession('dd if=/dev/zero of=/usr/big bs=1M; rm /usr/big; echo ok', '--allow-install --size 16m'),
  'after-full': traces,
  stopped: `rm /run/first; ${begin('first', 'true')}; systemctl stop immutafs-session@1; ls -A /run/immutafs/sessions; ${ended}; systemctl reset-failed`,
  limit: inSession('exec sleep 5000', '--limit 60s'),
  'after-limit': traces,
  entries: 'journalctl -b -o cat --no-pager -t immutafs-agent | grep "^Session"',
};

const scriptOf = (steps: Record<string, string>) =>
  [
    'echo MODE=sealed >/etc/immutafs/immutafs.conf; rm -f /run/immutafs/boot.env',
    ...Object.entries(steps).map(([name, lines]) => {
      const file = `/out/${name}`;
      return `(${lines}\n) </dev/null >${file} 2>${file}.err; echo $? >${file}.code`;
    }),
  ].join('\n');

/** In two containers, because each has a time limit. */
const used = shared(() => runInContainer(scriptOf(useful), [], sessionTree));
const results = shared(() => runInContainer(scriptOf(endings), [], sessionTree));

const sessions = suite('sessions');
sessions(
  'tools are installed, and trace a process outside; the exit code is that of the command',
  async () => {
    const all = await used();
    assert.is(all['trace.code'], '0\n', all['trace.err']);
    assert.match(all['trace'] ?? '', /(clock_nanosleep|restart_syscall)[^]*\n0\n$/);
    assert.is(all['dnf'], 'tool\n', all['dnf.err']);
    assert.is(all['code.code'], '42\n');
    assert.is(all['after'], all['before']);
  },
);
sessions('two at once, each with its own packages, which status shows', async () => {
  const all = await used();
  const report = JSON.parse(all['both'] ?? '') as Report;
  assert.is(checkOf(report, 'session-absent').status, 'warn');
  assert.equal(
    report.sessions.map(({ id, user, installed }) => [
      id,
      user,
      installed?.map((each) => each.split(' ')[0]),
    ]),
    [
      [1, 'root', ['libunwind8', 'strace']],
      [2, 'root', ['session-tool']],
    ],
  );
});
sessions('it is killed, stopped, or reaches its time limit: nothing is left', async () => {
  const all = await results();
  assert.is(all['after-killed'], all['before']);
  assert.is(all['stopped'], '', all['stopped.err']);
  assert.ok(Number(all['limit.code']) > 128, all['limit.code']);
  assert.match(all['limit.err'] ?? '', /was ended at its time limit/);
  assert.is(all['after-limit'], all['before']);
});
sessions('a full tmpfs: only the session is concerned', async () => {
  const all = await results();
  assert.is(all['full'], 'ok\n', all['full.err']);
  assert.match(all['full.err'] ?? '', /No space left on device/);
  assert.is(all['after-full'], all['before']);
});
sessions('the journal has the start and the end of each, once', async () => {
  const { entries = '' } = await results();
  assert.match(entries, /^Session 1 of root .* ended; installed: libunwind8 \S+, strace \S+$/m);
  assert.match(entries, /^Session \d of root .* ended at its time limit; no package was installed$/m);
  assert.is(entries.match(/ began/g)?.length, 5, entries);
  assert.is(entries.match(/ ended/g)?.length, 5, entries);
});
sessions.run();
