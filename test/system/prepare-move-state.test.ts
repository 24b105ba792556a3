/** Tests `prepare --move-state` in a small system with real file systems and the scripts of the boot. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { moveOutput as outputOf } from '../harness/move-state.ts';

const move = suite('prepare --move-state');

move(
  '--apply changes nothing of the data; the boot moves everything, and keeps the old content aside',
  () => {
    const stdout = outputOf(`stat -c '%i %z' "$app" "$app/alice" /etc/immutafs/immutafs.conf >/run/stat
    prepare --apply --yes --move-state "$app" && exit 1; stat -c '%i %z' "$app" "$app/alice" /etc/immutafs/immutafs.conf | diff /run/stat -
    mounts && exit 1; ls /data; prepare && exit 1; agent check --ready-to-seal | grep 'Not ready'
    boot; mounts; whole; grep ^PERSIST= /etc/immutafs/immutafs.conf
    below ls; below ls moved-by-immutafs-agent/content; below stat -c %a:%u moved-by-immutafs-agent
    ls /data/store; ls -A /var/lib; ls -A /etc/immutafs; grep /run/immutafs/move /proc/self/mountinfo || echo nothing mounted
    prepare; boot; mounts; whole`);
    assert.match(
      stdout,
      /\n {2}at next boot {2}state [^]*\nNot ready to seal[^]*\n\/var\/lib\/app DISK\[\/store\/var=lib=app\] rw,nosuid,nodev,noexec\S*\nPERSIST=\/var\/lib\/app\nmoved-by-immutafs-agent\nalice\nbob\n700:0\nvar=lib=app\napp\nimmutafs\nrpm\nimmutafs.conf\nnothing mounted\n/,
    );
    assert.match(stdout, /\n {2}done +state [^]*--purge-old-state[^]*\n\/var\/lib\/app DISK/);
  },
);

move('--undo brings back what was written since, then restores the files; the next move starts again', () => {
  const stdout = outputOf(`moved >/dev/null; use later; echo '# mine' >>/etc/immutafs/immutafs.conf
    agent prepare --undo && exit 1; whole; mounts; boot; cat /run/said; mounts && exit 1; whole
    below test ! -e moved-by-immutafs-agent; ls /data/store; grep -c '^PERSIST=.' /etc/immutafs/immutafs.conf || true
    grep '# mine' /etc/immutafs/immutafs.conf; agent prepare --undo; use again; moved >/dev/null; whole; mounts
    undone >/dev/null; mounts && exit 1; whole; grep later "$app/alice/log"`);
  assert.match(
    stdout,
    /\n\/var\/lib\/app moved back to the system disk\n(.*\n)*seeding:var=lib=app\n0\n# mine\nNothing to undo[^\n]*\n\/var\/lib\/app DISK/,
  );
});

move(
  '--undo restores the configuration byte for byte that steps have changed before and after two moves',
  () => {
    const stdout = outputOf(`stop_all() { umount -l "$app" /var/lib/other 2>/dev/null || true; }
    cp /etc/immutafs/immutafs.conf /run/conf; mkdir -p /opt/before /opt/after /var/lib/other; echo content >/var/lib/other/file
    prepare --apply --yes --move-state /opt/before:autostart >/dev/null || true; move /var/lib/other >/dev/null; boot
    prepare --apply --yes --move-state /opt/after:autostart >/dev/null || true; mounts; mountpoint -q /var/lib/other; grep ^PERSIST= /etc/immutafs/immutafs.conf
    undone | grep 'moved back'; mounts && exit 1; whole; cat /var/lib/other/file; cmp /run/conf /etc/immutafs/immutafs.conf; agent prepare --undo`);
    assert.match(
      stdout,
      /\nPERSIST=\/opt\/before:autostart \/var\/lib\/app \/var\/lib\/other \/opt\/after:autostart\n\/var\/lib\/other moved back[^\n]*\n\/var\/lib\/app moved back[^\n]*\ncontent\nNothing to undo/,
    );
  },
);

move('what is only planned is withdrawn by --undo', () => {
  const stdout = outputOf(`cp /etc/immutafs/immutafs.conf /run/conf; move >/dev/null; agent prepare --undo
    ls -A /etc/immutafs; test ! -e /var/lib/immutafs/moves.json; boot; mounts && exit 1; whole; cmp /run/conf /etc/immutafs/immutafs.conf`);
  assert.match(stdout, /withdrawn\nimmutafs.conf\n$/);
});

move(
  '--purge-old-state removes the old content, unless it was changed; --undo brings back everything',
  () => {
    const stdout = outputOf(`moved >/dev/null
    below sh -c 'sleep 1; echo x >>moved-by-immutafs-agent/content/alice/data'; prepare --apply --yes --purge-old-state && exit 1
    below ls moved-by-immutafs-agent/content; boot; cat /run/said; below ls moved-by-immutafs-agent/content
    undone >/dev/null; whole; moved >/dev/null; prepare --apply --yes --purge-old-state >/dev/null || true; boot
    below find . -mindepth 1 | sort; whole; prepare --purge-old-state; use later; undone >/dev/null; whole; mounts && exit 1
    below test ! -e moved-by-immutafs-agent`);
    assert.match(
      stdout,
      /at next boot[^]*\nalice\nbob\nThe old content of \S+ was not removed: [^\n]* was changed after the move \(alice\/\S+\): nothing is removed\nalice\nbob\n/,
    );
    assert.match(
      stdout,
      /\n\.\/moved-by-immutafs-agent\n\.\/moved-by-immutafs-agent\/README\n\.\/moved-by-immutafs-agent\/content\n +done/,
    );
  },
);

move('with too little space, nothing is changed: neither by the plan nor by the boot', () => {
  const stdout = outputOf(
    `cp /etc/immutafs/immutafs.conf /run/conf; move >/dev/null
    head -c 60000000 /dev/urandom >"$app/large"; picture "$app" >/run/before; boot; cat /run/said; whole; mounts && exit 1
    ls -A /data/store; cmp /run/conf /etc/immutafs/immutafs.conf; prepare --move-state "$app" || true; prepare || true`,
    { dataMiB: 60 },
  );
  assert.match(
    stdout,
    /was not moved: \S+ is too small: \/var\/lib\/app takes 60 MiB, its file system has room/,
  );
  assert.match(stdout, /blocked +state [^]*is too small: \/var\/lib\/app takes/);
});

/** What is done before, and the reason of the refusal. */
const refusals: [string, RegExp][] = [
  ['app=/etc/selinux; mkdir -p $app', /configures this agent or the boot/],
  ["sed -i '/^PERSIST_STORE/d' /etc/immutafs/immutafs.conf", /PERSIST_STORE is empty/],
  [
    "sed -i 's,^PERSIST_STORE=.*,PERSIST_STORE=/srv/store,' /etc/immutafs/immutafs.conf",
    /is on the disk of \/|is not mounted/,
  ],
  ['mkdir $app/mnt; mount -t tmpfs x $app/mnt', /app\/mnt, below this path, is a mount point/],
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
      prepare --move-state "$app" && exit 1; move && exit 1; cmp /run/conf /etc/immutafs/immutafs.conf; echo nothing done )
      cp /run/first /etc/immutafs/immutafs.conf; chown 0 "$app"; umount "$app/mnt" 2>/dev/null || true; rm -rf "$kept" "$app/mnt" "$app/moved-by-immutafs-agent"`,
  );
  const stdout = outputOf(`cp /etc/immutafs/immutafs.conf /run/first; ${script.join('\n')}`);
  const plans = stdout.replace(/\n {21}/g, ' ').split('nothing done\n');
  assert.is(plans.length, refusals.length + 1);
  for (const [index, [setUp, reason]] of refusals.entries())
    assert.ok(
      /blocked +state/.test(plans[index] ?? '') && reason.test(plans[index] ?? ''),
      `${setUp}: ${plans[index]}`,
    );
});

/** What happens between the plan and the boot, and the reason why the boot moves nothing. */
const changes: [string, RegExp][] = [
  [
    'mv "$app" /var/lib/real; cp -a /var/lib/real "$app"',
    /is not the directory for which the move was planned/,
  ],
  ['mv "$app" /var/lib/real; ln -s real "$app"', /is a symbolic link/],
  ['chown 1000 "$app"', /is not the directory for which the move was planned, or has another owner/],
  ['chmod 777 /var/lib', /is below \/var\/lib, which other users than root can change/],
  ['mount -t tmpfs x "$app"', /is a mount point already|was planned/],
  ['mkdir -m 700 "$app/moved-by-immutafs-agent"', /contains moved-by-immutafs-agent/],
  ['setpriv --reuid 1000 sleep 60 & sleep 0.3', /process \d+ \(sleep\) of user 1000 is running/],
  ['umount /data', /is not mounted/],
  ['mkdir -p -m 700 /data/store; mkdir "$kept"', /exists already/],
];
move('the boot moves nothing if the directory, a directory above, its owner or the store is another', () => {
  const script = changes.map(
    ([
      change,
    ]) => `move >/dev/null; ( ${change}; stop() { rm -rf /run/immutafs; }; picture "$app/." >/run/now-before; boot; cat /run/said; picture "$app/." | diff /run/now-before -; if mounts | grep store; then exit 1; fi )
      kill %% 2>/dev/null || true; for pid in $(pgrep sleep); do kill "$pid"; done; umount "$app" 2>/dev/null || true; [ ! -d /var/lib/real ] || { rm -rf "$app"; mv /var/lib/real "$app"; }
      chown 0 "$app"; chmod 755 /var/lib "$app"; rm -rf "$app/moved-by-immutafs-agent" "$kept"; mountpoint -q /data || mount -o nosuid,nodev "$disk" /data; touch -d '2011-02-03 04:05:06.7' "$app"; whole; agent prepare --undo >/dev/null; echo next`,
  );
  const results = outputOf(script.join('\n')).split('next\n');
  assert.is(results.length, changes.length + 1);
  for (const [index, [change, reason]] of changes.entries()) {
    assert.match(results[index] ?? '', reason, change);
    assert.match(results[index] ?? '', '/var/lib/app was not moved: ', change);
  }
});

move(
  'what a user swaps meanwhile is neither moved, emptied nor removed: no task runs while processes of users do',
  () => {
    const attack = `rm -f /run/attack; setpriv --reuid 1000 --clear-groups python3 /media/test/harness/swap-aside.py "$app" /etc/profile.d >/run/attack & until grep -qs ready /run/attack; do sleep 0.1; done`;
    const check = `ls -A /etc/profile.d; ls /etc | diff /run/etc -`;
    const stdout =
      outputOf(`mkdir -p /etc/profile.d; ls /etc >/run/etc; chown 1000 "$app"; picture "$app" >/run/before
    move >/dev/null; ${attack}; ${check}; boot; cat /run/said; ${check}; mounts && exit 1; kill $!; wait $! || true
    rm -rf "$app/evil" "$app/kept" "$app"/moved-by*; set_old_times "$app"; picture "$app" >/run/before
    move >/dev/null; boot; whole; mounts; ${check}
    umount "$app"; ${attack}; mount --bind "$kept" "$app"; for task in "agent prepare --undo" "prepare --apply --yes --purge-old-state"; do
      $task >/dev/null || true; whole; ${check}; boot; cat /run/said; whole; ${check}; start; done
    kill $!; wait $! || true; below sh -c 'mv moved-by-immutafs-agent hidden; mkdir -m 700 moved-by-immutafs-agent; ln -s /etc moved-by-immutafs-agent/content; chown -R 1000 moved-by-immutafs-agent'
    for task in "agent prepare --undo" "prepare --apply --yes --purge-old-state"; do $task >/dev/null || true; boot; cat /run/said; whole; ${check}; done`);
    const refused = [...stdout.matchAll(/was not (?:moved|moved back|removed): (.*)/g)].map(
      ([, reason]) => reason,
    );
    assert.is(refused.length, 5, stdout);
    for (const reason of refused.slice(0, 3))
      assert.match(reason ?? '', /process \d+ \(python3\) of user 1000 is running/);
    for (const reason of refused.slice(3))
      assert.match(reason ?? '', /the original directory \S+ is missing/);
  },
);

move('hostile content is copied as it is', () => {
  const stdout =
    outputOf(`echo secret >/var/lib/of-root; chmod 600 /var/lib/of-root; ln /var/lib/of-root "$app/linked"
    mknod "$app/null" c 1 3; mknod "$app/disk" b 7 200; perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => "/var/lib/app/socket", Listen => 1)'
    ln -s /etc/passwd "$app/to-passwd"; ln -s . "$app/here"; cp /usr/bin/true "$app/capable"; setcap cap_net_raw+ep "$app/capable"
    truncate -s 300M "$app/huge"; mkdir "$app/$(printf 'a\\nb')" "$app/$(printf '\\001\\377')" "$app/.immutafs-app"
    for each in 1 2 3 4; do mkdir -p "$app/$(printf '%0200d' $each)/$(printf '%0250d' $each)/x"; done
    set_old_times "$app"; picture "$app" >/run/before
    moved >/dev/null; mounts; sed -i '/^[.].linked f/s/ 2 / 1 /' /run/before; whole; getcap "$app/capable"; stat -c %h "$app/linked" /var/lib/of-root
    cp -p "$app/linked" "$app/replaced"; chown 1000 "$app/replaced"; chmod 4755 "$app/replaced"; mv "$app/replaced" "$app/linked"; set_old_times "$app"; picture "$app" >/run/before
    undone >/dev/null; whole; stat -c '%u %a %h' /var/lib/of-root "$app/linked"; cat /var/lib/of-root`);
  // A user has replaced the link by a file of the same content. The way back does not change the file of root.
  assert.match(stdout, /DISK[^]*cap_net_raw[^]*\n1\n2\n0 600 1\n1000 4755 1\nsecret\n$/);
});

move('a tree of 3,000 levels is refused by name, and stays', () => {
  const stdout =
    outputOf(`perl -e 'chdir "/var/lib/app"; for (1 .. 3000) { mkdir "d"; chdir "d" or die } open my $f, ">", "end"; print $f "x"'
    moved; mounts && exit 1; test ! -e /data/store; grep -c '^PERSIST=.' /etc/immutafs/immutafs.conf || true
    perl -e 'chdir "/var/lib/app"; for (1 .. 3000) { chdir "d" or die } print -s "end", "\\n"'`);
  assert.match(
    stdout,
    /\/var\/lib\/app was not moved: The path \/var\/lib\/app\/d\/d\S+… has \d{4} bytes, more than the \d{4} that can be copied[^\n]*\n0\n1\n$/,
  );
});

move(
  'a path with autostart is left to the first sealed boot, others move; with maintenance, it moves, too',
  () => {
    const stdout = outputOf(`mkdir -p /opt/agent; mv "$app" /opt/agent/app; app=/opt/agent/app
    mkdir /var/lib/data; prepare --apply --yes --move-state /var/lib/data "$app" >/run/plan || true; cat /run/plan; boot; mounts && exit 1; findmnt /var/lib/data >/dev/null; whole
    grep ^PERSIST= /etc/immutafs/immutafs.conf; agent prepare --undo >/dev/null || true; umount /var/lib/data; boot; findmnt /var/lib/data && exit 1
    prepare --apply --yes --move-state "$app:autostart,maintenance" >/dev/null || true; boot; mounts; whole`);
    assert.match(
      stdout,
      /the first sealed boot copies it[^]*\nPERSIST=\/opt\/agent\/app:autostart \/var\/lib\/data\n/,
    );
    assert.match(stdout, /\n\/opt\/agent\/app DISK\[\/store\/opt=agent=app\]/);
  },
);

move('without the store, --undo is blocked, and a boot neither seeds nor moves back', () => {
  const stdout =
    outputOf(`moved >/dev/null; umount "$app"; umount /data; cp /etc/immutafs/immutafs.conf /run/conf
    agent prepare --undo && exit 1; cmp /run/conf /etc/immutafs/immutafs.conf; test ! -e "$marker"; mount -o nosuid,nodev "$disk" /data
    agent prepare --undo >/dev/null && exit 1; umount /data; boot 2>/dev/null; cat /run/said; cmp /run/conf /etc/immutafs/immutafs.conf
    below ls moved-by-immutafs-agent/content; mount -o nosuid,nodev "$disk" /data; mv "$kept" /data/lost
    /usr/libexec/immutafs/immutafs-boot persist-path "$app" 2>&1 && exit 1; ls -A /data/store; mv /data/lost "$kept"; boot; whole; undone >/dev/null; whole; mounts && exit 1`);
  assert.match(stdout, /^Nothing is undone: \/var\/lib\/app would not be kept: [^\n]*not mounted/m);
  assert.match(stdout, /was not moved back: [^\n]*not mounted[^\n]*\nalice\nbob\n/);
  assert.match(
    stdout,
    /is not kept: its content was moved to \/data\/store\/var=lib=app, which does not exist/,
  );
});

move(
  'what a program wrote while the store was not mounted is neither lost nor mixed with the content',
  () => {
    const stdout = outputOf(
      `moved >/dev/null; below sh -c 'echo mine >alone'; undone; whole; mounts; below cat alone; below rm alone; undone >/dev/null; whole; mounts && exit 1`,
    );
    assert.match(
      stdout,
      /was not moved back: [^\n]* contains alone, written while [^\n]*\n\/var\/lib\/app DISK[^\n]*\nmine\n/,
    );
  },
);

move.run();
