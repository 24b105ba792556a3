/** Ways in which something of a session could reach processes outside, or remain after its end (docs/session.md). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runInContainer } from '../harness/container.ts';
import { sessionTree } from '../harness/session-tree.ts';
import { shared } from '../harness/shared.ts';

/** Run in the session. Each of the processes that could remain has a time of its own. */
const inside = `
  rpm -i --nodeps /srv/repository/noarch/*.rpm
  mkdir /run/leak && mount -t tmpfs leak /run/leak && mount --bind /usr /mnt
  mount --make-rshared / && mount -t tmpfs shared /srv
  echo started >/var/tmp/shared
  setsid sleep 7001 &
  sh -c 'echo $$ >/sys/fs/cgroup/cgroup.procs && exec setsid sleep 7002' &
  unshare --user --map-root-user --mount sleep 7003 &
  sh -c 'echo $$ >/sys/fs/cgroup/cgroup.procs && exec setsid unshare --mount --propagation private sleep 7004' &
  cp /usr/bin/id /usr/bin/leak && chmod 4755 /usr/bin/leak
  echo '* * * * * root /usr/bin/leak' >/etc/cron.d/leak
  echo 'ACTION=="add", RUN+="/usr/bin/leak"' >/etc/udev/rules.d/99-leak.rules
  printf '[D-BUS Service]\\nName=org.leak\\nExec=/usr/bin/leak\\nUser=root\\n' >/usr/share/dbus-1/system-services/org.leak.service
  printf '[Service]\\nType=oneshot\\nExecStart=/usr/bin/leak\\n' >/etc/systemd/system/leak.service
  echo /usr/lib/leak.so >/etc/ld.so.preload.leak
  systemctl daemon-reload; systemctl start leak.service >/out/unit 2>&1; echo $? >>/out/unit
  systemd-run --quiet --wait /usr/bin/session-tool >/out/systemd-run 2>&1; echo $? >>/out/systemd-run
  python3 -c 'import socket, time; s = socket.socket(socket.AF_UNIX); s.bind("/run/leak.sock"); s.listen(); time.sleep(7005)' &
  immutafs-agent session >/out/nested 2>&1; echo $? >>/out/nested
  touch /run/ready
  while [ ! -e /run/end ]; do sleep 0.2; done`;

const connect = `python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect("/run/leak.sock")'`;

const script = `
  echo MODE=sealed >/etc/immutafs/immutafs.conf
  rm -f /run/immutafs/boot.env
  cat >/run/inside <<'END'
${inside}
END
  state() { cut -d ' ' -f 5- /proc/self/mountinfo; find /usr /etc /opt /var/lib/rpm /var/lib/dpkg -newer /run/inside -type f ! -name 'rpmdb.sqlite-*'; rpm -qa; }
  state >/out/before
  immutafs-agent session --allow-install -- sh /run/inside </dev/null >/out/session 2>&1 &
  for try in $(seq 300); do [ ! -e /run/ready ] || break; sleep 0.2; done
  state >/out/while
  ls /usr/bin/leak /usr/bin/session-tool /etc/cron.d/leak /etc/udev/rules.d/99-leak.rules /etc/systemd/system/leak.service \\
    /usr/share/dbus-1/system-services/org.leak.service /etc/ld.so.preload.leak 2>/dev/null >/out/seen
  inner=$(pgrep -f 'sleep 7001')
  su alice -c "/proc/$inner/root/usr/bin/leak" >/out/setuid 2>&1; echo $? >>/out/setuid
  # A descriptor that a process outside of the session has keeps the file.
  exec 9</proc/$inner/root/usr/bin/session-tool
  ${connect}; echo $? >/out/socket
  pgrep -fc 'sleep 700|time.sleep' >/out/processes
  # The session lists its packages every second.
  for try in $(seq 100); do ! grep -q session-tool /run/immutafs/sessions/1/installed || break; sleep 0.2; done
  cat /run/immutafs/sessions/1/installed | sort >/out/installed
  touch /run/end
  wait
  ps -eo args | grep -E 'sleep 700|time.sleep' | grep -v grep >/out/left
  ${connect} 2>/dev/null; echo $? >>/out/socket
  head -1 <&9 >/out/descriptor
  exec 9<&-
  state >/out/after
  rest() { ls -A /run/immutafs/sessions; systemctl list-units --all --plain --no-legend 'immutafs-session*'; }
  # systemd forgets a unit that has ended when nothing refers to it any more.
  for try in $(seq 50); do [ -n "$(rest)" ] || break; sleep 0.2; done
  rest >/out/rest
  cat /var/tmp/shared >/out/shared
  journalctl --flush; journalctl -b -o json --no-pager >/out/journal`;

const results = shared(() => runInContainer(script, [], sessionTree));

const leaks = suite('what leaves a session');
const lines = (text = '') => text.split('\n').filter((line) => line !== '');
leaks('while it lives, nothing outside has its mounts, files and packages', async () => {
  const all = await results();
  assert.is(all['while'], all['before'], all['session']);
  assert.is(all['seen'], '');
  assert.ok(lines(all['installed']).includes('session-tool 1-1'), all['installed']);
});
leaks('systemd starts nothing that exists only in the session', async () => {
  const { unit, 'systemd-run': transient } = await results();
  assert.match(unit ?? '', /Unit leak\.service not found[^]*\n[1-9]\d*\n$/);
  assert.match(transient ?? '', /[1-9]\d*\n$/);
});
leaks('another user does not reach a set-user-ID program by /proc', async () => {
  const { setuid } = await results();
  assert.match(setuid ?? '', /Permission denied\n12[67]\n$/);
});
leaks('no session in a session', async () => {
  const { nested } = await results();
  assert.match(nested ?? '', /another mount namespace[^]*\n3\n$/);
});
leaks('at its end, every process ends, also outside of its scope and in other namespaces', async () => {
  const { processes, left, socket } = await results();
  assert.is(processes, '5\n');
  assert.is(left, '');
  assert.is(socket, '0\n1\n', 'a server with a socket in /run');
});
leaks('after its end, nothing of it is left', async () => {
  const { before, after, rest } = await results();
  assert.is(after, before);
  assert.is(rest, '');
});
leaks('what remains: files in /run and /var, and what a process outside holds', async () => {
  const { shared: file, descriptor } = await results();
  assert.is(file, 'started\n');
  assert.is(descriptor, '#!/bin/sh\n');
});
leaks('the journal has its start, and its end with the packages', async () => {
  const { journal } = await results();
  const entries = lines(journal).map((line) => JSON.parse(line) as Record<string, string>);
  const of = (id: string) => entries.filter(({ MESSAGE_ID }) => MESSAGE_ID === id);
  assert.is(of('bcf027a583154bf7aefb6c2d1e8ccbe0').length, 1);
  assert.equal(
    of('91616bcdc8044da88eb75f0e256a8260').map(({ IMMUTAFS_INSTALLED }) => IMMUTAFS_INSTALLED),
    ['session-tool 1-1'],
  );
});
leaks.run();
