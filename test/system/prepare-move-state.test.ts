/** Tests `prepare --move-state` in a small system with real file systems and the scripts of the boot. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { atEach, movePoints } from '../harness/move-points.ts';
import { moveOutput as outputOf } from '../harness/move-state.ts';

const move = suite('prepare --move-state');

move('moves everything, mounts it as a boot does, and keeps the old content aside', () => {
  const stdout = outputOf(`move; mounts; whole; grep ^PERSIST= /etc/immutafs/immutafs.conf
    below ls; below ls moved-by-immutafs-agent/content; below stat -c %a:%u moved-by-immutafs-agent
    ls /data/store; move; prepare; grep prepare/ /proc/self/mountinfo || echo nothing left
    reboot; mounts; whole`);
  assert.match(
    stdout,
    /\n\/var\/lib\/app DISK\[\/store\/var=lib=app\] rw,nosuid,nodev,noexec\S*\nPERSIST=\/var\/lib\/app\nmoved-by-immutafs-agent\nalice\nbob\n700:0\nvar=lib=app\n/,
  );
  assert.match(stdout, /done +state [^]*done +state [^]*\nnothing left\n\/var\/lib\/app DISK/);
});

move('--undo brings back what was written since, and the next move starts again', () => {
  const stdout = outputOf(`move >/dev/null; use later; echo '# mine' >>/etc/immutafs/immutafs.conf
    agent prepare --undo; mounts && exit 1; whole; below test ! -e moved-by-immutafs-agent; ls /data/store
    grep ^PERSIST= /etc/immutafs/immutafs.conf; reboot; mounts && exit 1; whole; use again; move; whole; mounts
    agent prepare --undo >/dev/null; mounts && exit 1; whole; grep later "$app/alice/log"`);
  assert.match(stdout, /moved back to the system disk[^\n]*\nseeding:var=lib=app\nPERSIST=\n/);
  assert.match(stdout, /\n\/var\/lib\/app DISK[^\n]*\n[^]*later\n$/);
});

move(
  '--purge-old-state removes the old content, unless it was changed; --undo brings back everything',
  () => {
    const stdout = outputOf(`move >/dev/null
    below sh -c 'sleep 2; echo x >>moved-by-immutafs-agent/content/alice/data'; prepare --apply --yes --purge-old-state 2>&1 && exit 1
    below ls moved-by-immutafs-agent/content
    agent prepare --undo >/dev/null; whole; move >/dev/null; prepare --apply --yes --purge-old-state; below find . -mindepth 1 | sort
    prepare --purge-old-state; agent prepare --undo; whole; mounts && exit 1; below test ! -e moved-by-immutafs-agent`);
    assert.match(stdout, /was changed after the move \(alice\/\S+\): nothing is removed\nalice\nbob\n/);
    assert.match(
      stdout,
      /\n\.\/moved-by-immutafs-agent\n\.\/moved-by-immutafs-agent\/README\n\.\/moved-by-immutafs-agent\/content\n +done/,
    );
  },
);

move('with too little space, nothing is changed', () => {
  const script = `cp /etc/immutafs/immutafs.conf /run/conf
    head -c 60000000 /dev/urandom >"$app/large"; picture "$app" >/run/before; prepare --move-state "$app" || true
    # The plan does not measure what an interrupted run has copied.
    mkdir -p "$copied"; chmod 700 /data/store; move 2>&1 && exit 1; whole; mounts && exit 1; cmp /run/conf /etc/immutafs/immutafs.conf`;
  assert.match(
    outputOf(script, 60),
    /blocked +state [^]*is too small: \/var\/lib\/app takes [^]*too small: \/var\/lib\/app takes 60 MiB, its file system has room/,
  );
});

/** What is done before, and the reason of the refusal. */
const refusals: [string, RegExp][] = [
  ['app=/etc/selinux; mkdir -p $app', /configures this agent or the boot/],
  ["sed -i '/^PERSIST_STORE/d' /etc/immutafs/immutafs.conf", /PERSIST_STORE is empty/],
  [
    "sed -i 's,^PERSIST_STORE=.*,PERSIST_STORE=/srv/store,' /etc/immutafs/immutafs.conf",
    /is on the disk of \/|is not mounted/,
  ],
  ['mkdir $app/mnt; mount -t tmpfs x $app/mnt', /app\/mnt, a mount point, is below it/],
  ["echo 'PERSIST=/var/lib' >>/etc/immutafs/immutafs.conf", /kept already, as a part of \/var\/lib/],
  ['mkdir -p $kept; chmod 700 /data/store', /exists from an earlier use of PERSIST/],
  // A user chose the name in place of the old content.
  [
    'mkdir "$app/moved-by-immutafs-agent"; ln -s /etc "$app/moved-by-immutafs-agent/content"',
    /app contains moved-by-immutafs-agent/,
  ],
  [
    'chown 1000 "$app"; app=$app/alice',
    /app\/alice is below \/var\/lib\/app, which other users than root can change/,
  ],
];
move('refuses what cannot be kept, and changes nothing', () => {
  const script = refusals.map(
    ([setUp]) => `( ${setUp}; cp /etc/immutafs/immutafs.conf /run/conf
      prepare --move-state "$app" && exit 1; move && exit 1; cmp /run/conf /etc/immutafs/immutafs.conf; grep prepare/ /proc/self/mountinfo || echo nothing left )
      cp /run/first /etc/immutafs/immutafs.conf; chown 0 "$app"; umount "$app/mnt" 2>/dev/null || true; rm -rf "$kept" "$app/mnt" "$app/moved-by-immutafs-agent"`,
  );
  const stdout = outputOf(`cp /etc/immutafs/immutafs.conf /run/first; ${script.join('\n')}`);
  const plans = stdout.replace(/\n {21}/g, ' ').split('nothing left\n');
  assert.is(plans.length, refusals.length + 1);
  for (const [index, [setUp, reason]] of refusals.entries())
    assert.ok(
      /blocked +state/.test(plans[index] ?? '') && reason.test(plans[index] ?? ''),
      `${setUp}: ${plans[index]}`,
    );
});

move('old content that is not in a directory of root is neither moved, copied back nor removed', () => {
  const stdout = outputOf(`points; ended_at KILL after '^persist-directory mount' move
    below sh -c 'mkdir moved-by-immutafs-agent; ln -s /etc moved-by-immutafs-agent/content; chown -R 1000 moved-by-immutafs-agent; chmod 700 moved-by-immutafs-agent'
    ls /etc >/run/etc; for each in "move" "agent prepare --undo"; do $each >/run/said 2>&1 && exit 1; grep -o 'moved-by-immutafs-agent was not made' /run/said; done
    ls /etc | diff /run/etc -; whole; mounts; below rm -r moved-by-immutafs-agent; move >/dev/null
    below sh -c 'chown 1000 moved-by-immutafs-agent'; prepare --apply --yes --purge-old-state 2>&1 && exit 1; below ls moved-by-immutafs-agent/content`);
  assert.match(
    stdout,
    /^moved-by-immutafs-agent was not made\nmoved-by-immutafs-agent was not made\n\/var\/lib\/app DISK/m,
  );
  assert.match(stdout, /moved-by-immutafs-agent was not made by this program: [^\n]*\nalice\nbob\n$/);
});

move('a process of no service is named, and the directory stays in use', () => {
  const stdout = outputOf(`(cd "$app/alice"; exec sleep 600) & holder=$!; sleep 0.2
    prepare --move-state "$app" || true; move 2>&1 && exit 1; whole; mounts && exit 1; touch "$app/writable"; rm "$app/writable"; touch -d '2011-02-03 04:05:06.7' "$app"
    kill "$holder"; wait "$holder" || true; move; whole; mounts`);
  assert.match(
    stdout.replace(/\n {21}/g, ' '),
    /In use by processes of no service: sleep \(process \d+\) works in \/var\/lib\/app\/alice/,
  );
  const refused =
    /In use: [^\n]*sleep \(process \d+\) works in \/var\/lib\/app\/alice[^\n]*\. These would continue/;
  assert.ok(refused.test(stdout), stdout);
  assert.match(stdout, /DISK\[\/store\/var=lib=app\]/);
});

move(
  'a path with autostart is left to the first sealed boot, others move; with maintenance, it moves now',
  () => {
    const stdout = outputOf(`mkdir -p /opt/agent; mv "$app" /opt/agent/app; app=/opt/agent/app
    mkdir /var/lib/data; prepare --apply --yes --move-state /var/lib/data "$app"; mounts && exit 1; findmnt /var/lib/data >/dev/null; whole
    grep ^PERSIST= /etc/immutafs/immutafs.conf; agent prepare --undo; findmnt /var/lib/data && exit 1
    prepare --apply --yes --move-state "$app:autostart,maintenance"; mounts; whole`);
    assert.match(
      stdout,
      /the first sealed boot copies it[^]*\nPERSIST=\/opt\/agent\/app:autostart \/var\/lib\/data\n/,
    );
    assert.match(stdout, /\n\/opt\/agent\/app DISK\[\/store\/opt=agent=app\]/);
  },
);

move('--undo: a socket that a process listens on does not keep the directory mounted', () => {
  const stdout = outputOf(`move >/dev/null
    perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(Local => "/var/lib/app/socket", Listen => 1) or die; sleep 60' &
    until [ -S "$app/socket" ]; do sleep 0.1; done; touch -d '2011-02-03 04:05:06.7' "$app/socket" "$app"
    picture "$app" >/run/before; agent prepare --undo; whole; mounts && exit 1; kill $!`);
  assert.match(stdout, /moved back to the system disk/);
});

move('a boot does not seed a directory whose content was moved to a store that is lost', () => {
  const stdout = outputOf(`move >/dev/null; umount "$app"; mv "$kept" /data/lost
    /usr/libexec/immutafs/persist-directory mount "$app" 2>&1 && exit 1; ls /data/store; mv /data/lost "$kept"; reboot; whole`);
  assert.match(
    stdout,
    /\/var\/lib\/app is not kept: its content was moved to \/data\/store\/var=lib=app, which does not exist/,
  );
});

move('SIGINT before the switch: nothing stays mounted, and the directory can be written to', () =>
  atEach(
    movePoints.slice(0, 3),
    (point) => `ended_at INT ${point} move; tail -n 1 /run/said | grep 'interrupted by SIGINT'
      whole; mounts && exit 1; use it; grep prepare/ /proc/self/mountinfo && exit 1; test ! -e "$kept"; test ! -e /run/immutafs/prepare-moving`,
  ),
);

move.run();
