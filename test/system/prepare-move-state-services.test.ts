/** Tests which units `prepare --move-state` stops and starts, with a real systemd. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { moveOutput } from '../harness/move-state.ts';

const move = suite('prepare --move-state with services');

const active = 'systemctl is-active app.service app.socket web.service other.service | tr "\\n" " "; echo';

/**
 * Two services that write to the directory, of which one sees it in a mount namespace of its own, a socket that starts the
 * first one, and a service that needs it.
 */
const units = `add_service app.service ''; add_service other.service ''
  sed -i 's,^ExecStart=,&/usr/bin/unshare --mount --propagation private ,' /etc/systemd/system/other.service
  printf '%s\\n' '[Unit]' DefaultDependencies=no '[Socket]' ListenStream=/run/app >/etc/systemd/system/app.socket
  printf '%s\\n' '[Unit]' DefaultDependencies=no Requires=app.service After=app.service '[Service]' 'ExecStart=/bin/sleep 1000' >/etc/systemd/system/web.service`;
const all = 'app.service app.socket web.service other.service';

move('the services that use it, their sockets and what needs them are stopped and started again', () => {
  const stdout = moveOutput(`${units}
    with_systemd 'sleep 1; ${active}
      move; ${active}; mounts; sleep 1; lines=$(wc -l <"$app/alice/app.service"); sleep 1; test $(wc -l <"$app/alice/app.service") -gt $lines; test -s "$kept/alice/other.service"
      agent prepare --undo; ${active}; mounts && exit 1; lines=$(wc -l <"$app/alice/app.service"); sleep 1; test $(wc -l <"$app/alice/app.service") -gt $lines' ${all}`);
  assert.match(stdout, /^active active active active \n/);
  assert.match(stdout, /\nStopping app\.service, other\.service\n/);
  assert.match(
    stdout,
    // They start before the old content is moved aside, which may take long.
    /\nStarted app\.socket, app\.service, other\.service, web\.service, stopped for \d+\.\d s\n[^]*is now kept in [^]*\nactive active active active \n\/var\/lib\/app DISK/,
  );
  assert.match(stdout, /moved back to the system disk[^\n]*\nactive active active active \n$/);
});

move('killed while they are stopped: the plan says so, and the next run starts them', () => {
  const stdout = moveOutput(`${units}
    with_systemd 'points; ended_at KILL before "^rsync .*--dry-run" move; ${active}
      prepare || true; move; ${active}; mounts' ${all}`);
  assert.match(
    stdout.replace(/\n {21}/g, ' '),
    /^inactive inactive inactive inactive \n[^]*A move of \/var\/lib\/app was interrupted\. These units are stopped: app\.socket, app\.service, other\.service, web\.service\./,
  );
  assert.match(stdout, /\nactive active active active \n\/var\/lib\/app DISK/);
});

move('SIGINT while they are stopped: they are started again', () => {
  const stdout = moveOutput(`${units}
    with_systemd 'points; ended_at INT before "^rsync .*--dry-run" move; cat /run/said; ${active}; mounts && exit 1; echo >>"$app/alice/log"' ${all}`);
  assert.match(
    stdout,
    /\nStarted app\.socket[^\n]*stopped for[^]*interrupted by SIGINT\nactive active active active \n$/,
  );
});

for (const [title, name, lines, expected] of [
  [
    'a service that the system needs',
    'dbus.service',
    '',
    /dbus\.service uses \/var\/lib\/app, and the system needs it/,
  ],
  [
    'a service that systemd does not stop',
    'app.service',
    '[Unit]\nRefuseManualStop=yes',
    /app\.service uses \/var\/lib\/app, and systemd does not stop it on request/,
  ],
] as const) {
  move(`refuses ${title}`, () => {
    const stdout = moveOutput(`add_service ${name} '${lines}'
      with_systemd 'sleep 1; move 2>&1 && exit 1; systemctl is-active ${name}; mounts && exit 1; echo >>"$app/alice/log"' ${name}`);
    assert.match(stdout.replace(/\n {21}/g, ' '), expected);
    assert.not.match(stdout, /Stopping/);
    assert.match(stdout, /\nactive\n$/);
  });
}

move.run();
