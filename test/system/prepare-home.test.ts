/** Tests `prepare --only home` on real disks (loop devices) in a small system. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { outputOf, runHomeScript as inSmallSystem } from '../harness/home-step.ts';

const move = suite('prepare: /home moves');

move(
  'at the boot, completely; --apply changes nothing of it; the old content is removed when it is unchanged',
  () => {
    const script = `fill; picture /home >/run/before; cp /etc/fstab /run/fstab
    move_home && exit 1; cmp /etc/fstab /run/fstab; whole_home; findmnt /home && exit 1; home && exit 1; name_disks; boot; cat /run/said
    whole_home; findmnt -n -o OPTIONS /home; cat /etc/fstab; home; ls -A / | grep immutafs && exit 1
    old_home ls -A; mkdir -p /run/old; mount --bind / /run/old; picture /run/old/home/moved-by-immutafs-agent/content | diff /run/before -; umount /run/old
    sleep 1; old_home sh -c 'printf x | dd of=moved-by-immutafs-agent/content/alice/holes conv=notrunc status=none'
    home --apply --yes --purge-old-home && exit 1; boot; cat /run/said; old_home test -e moved-by-immutafs-agent/content/alice/holes
    rm -r /home/bob; echo more >>/home/alice/suid; set_old_times /home; picture /home >/run/before; undone_home; whole_home; findmnt /home && exit 1; cmp /etc/fstab /run/fstab`;
    const stdout = outputOf(script);
    assert.match(
      stdout,
      /\n\/home moved to the file system \S+\nrw,nosuid,nodev,noexec,[^\n]*\n# of the test\n\S+ \/ xfs defaults 0 0\nUUID=[\da-f-]{36} \/home xfs rw,noexec,nodev,nosuid 0 0\ndone /,
    );
    assert.match(
      stdout,
      /\nThe old content of \/home was not removed: [^\n]*\(alice\/holes\): nothing is removed\n/,
    );
    assert.match(stdout, /\n\/home moved back to the system disk\n/);
  },
);

move('--purge-old-home removes the old content; --undo brings everything back', () => {
  const script = `fill; picture /home >/run/before; moved_home >/dev/null; home --apply --yes --purge-old-home >/dev/null || true; boot; cat /run/said
    old_home find . ! -type d; home; home --purge-old-home; whole_home; undone_home; whole_home; findmnt /home || echo a directory`;
  assert.match(
    outputOf(script),
    /^The old content of \/home is removed\n\.\/moved-by-immutafs-agent\/README\ndone [^\n]*\.\ndone [^\n]*disk\.\n[^]*\na directory\n$/m,
  );
});

for (const [type, mkfs, recovered] of [
  ['xfs', '', ''],
  ['ext4', 'mkfs.ext4 -q -F "$volume"; ', "; echo found >'/home/lost+found/#12'"],
]) {
  move(`from and to a volume of the system's disk, ${type}; its line in fstab is kept as a comment`, () => {
    const script = `${mkfs}mount "$volume" /home${recovered}; echo "$volume /home ${type} defaults 0 0" >>/etc/fstab; fill; picture /home >/run/before
    home --home-device "$disk" || true; moved_home; whole_home; cat /etc/fstab; findmnt -n -o SOURCE /home | tail -n 1
    home --purge-old-home; mount "$volume" /srv; picture /srv | diff /run/before -; umount /srv
    echo later >/home/alice/later; set_old_times /home; picture /home >/run/before
    undone_home; whole_home; findmnt -n -o SOURCE /home`;
    const stdout = outputOf(script);
    assert.match(stdout, /^needed +home: \/home is (\S+), on the system's own disk, which/);
    assert.match(
      stdout,
      /\n#\S+ \/home \w+ defaults 0 0\nUUID=\S+ \/home xfs rw,noexec,nodev,nosuid 0 0\n\/dev\/loop\d+p1\ndone .*The old content is still on \S+: remove that volume manually\.\n/,
    );
    assert.match(stdout, /\n\/home moved back to the system disk\n[^]*\n\/dev\/loop\d+p2\n$/);
  });
}

for (const type of ['ext3', 'ext4']) {
  move(`the lost+found of ${type} stays where it is, unless something was recovered into it`, () => {
    const script = `mkfs.${type} -q -F "$volume"; mount "$volume" /home; echo "$volume /home ${type} defaults 0 0" >>/etc/fstab
      fill; picture /home >/run/before; moved_home; whole_home; test ! -e /home/lost+found
      undone_home; whole_home; test -d /home/lost+found`;
    assert.match(outputOf(script), /\n\/home moved back to the system disk\n/);
  });
}

for (const type of ['xfs', 'ext4']) {
  move(`to an existing file system: ${type}`, () => {
    const script = `mkfs.${type} -q "$disk"; name_disks; uuid=$(blkid -p -s UUID -o value "$disk"); fill; picture /home >/run/before
      mount "$disk" /srv; touch /srv/mine; umount /srv
      home --apply --yes --home-uuid "$uuid" && exit 1; test ! -e "$marker"
      mount "$disk" /srv; rm /srv/mine; umount /srv
      home --apply --yes --home-uuid "$uuid" || true; boot; cat /run/said
      touch -r /run/times /home; whole_home; findmnt -n -o FSTYPE /home | tail -n 1; tail -n 1 /etc/fstab`;
    const { stdout, stderr } = inSmallSystem(`touch -d "2011-02-03 04:05:06.7" /run/times; ${script}`);
    assert.match(stderr, /is not empty: mine/);
    const more = type === 'ext4' ? ',errors=remount-ro' : '';
    assert.match(
      stdout,
      new RegExp(`\\n${type}\\nUUID=\\S+ /home ${type} rw,noexec,nodev,nosuid${more} 0 0\\n$`),
    );
  });
}

move('a disk that has become too small since the plan: the boot changes nothing', () => {
  const script = `cp /etc/fstab /run/fstab; truncate -s 300M /home/hole; move_home >/dev/null || true; name_disks
    head -c 290000000 /dev/urandom >/home/much; boot; cat /run/said; cmp /etc/fstab /run/fstab; findmnt /home || echo a folder; home --home-device "$disk" || true`;
  const stdout = outputOf(script, 320);
  assert.match(stdout, /\/home was not moved: the file system \S+ is too small: \/home takes 277 MiB/);
  assert.match(stdout, /a folder\nblocked .*\/home was not moved: /);
});

move(
  'after --undo, the same file system can be used again, without --wipe only if a move to it is recorded',
  () => {
    const script = `fill; picture /home >/run/before; moved_home >/dev/null; cp /etc/fstab /run/fstab; undone_home >/dev/null; whole_home
    home --home-device "$disk" || true; home --apply --yes --home-device "$disk" --wipe "$disk" >/dev/null || true; name_disks; boot; whole_home; findmnt -n -o TARGET /home`;
    assert.match(outputOf(script), /blocked .*is not empty: it contains [^]*\n\/home\n$/);
  },
);

for (const [title, edit, check, expected] of [
  ['is restored byte for byte', ':', 'cmp /etc/fstab /run/fstab', /\n\/etc\/fstab: restored\n/],
  [
    'keeps an edit of an administrator, which is named',
    "echo '# mine' >>/etc/fstab",
    "grep '# mine' /etc/fstab",
    /\n\/etc\/fstab: kept, because it was changed after prepare;[^]*\n# mine\n$/,
  ],
] as const) {
  move(`--undo: fstab that the step fstab has changed after the move ${title}`, () => {
    const script = `fill; picture /home >/run/before; cp /etc/fstab /run/fstab; moved_home >/dev/null
      agent prepare --only fstab --apply --yes >/dev/null; grep ' / xfs defaults,ro ' /etc/fstab; ${edit}; undone_home; whole_home; findmnt /home && exit 1; ${check}`;
    assert.match(outputOf(script), expected);
  });
}

move(
  'another directory than that of the plan, a process of a user, or a disk that is gone: nothing is moved',
  () => {
    const script = `fill; picture /home >/run/before; cp /etc/fstab /run/fstab; move_home >/dev/null || true; name_disks
    setpriv --reuid 12345 --clear-groups sleep 60 & sleep 0.3; run_moves; kill $!; wait $! || true; whole_home; findmnt /home && exit 1
    mv /home /other; cp -a /other /home; home --apply --yes --home-device "$disk" >/dev/null || true; rm -r /home; mv /other /home; run_moves; whole_home; findmnt /home && exit 1
    home --apply --yes --home-device "$disk" >/dev/null || true; rm /dev/disk/by-uuid/*; boot; cat /run/said; whole_home; cmp /etc/fstab /run/fstab; name_disks; moved_home; whole_home; findmnt -n -o TARGET /home`;
    const stdout = outputOf(script.replaceAll('run_moves;', 'run_moves || true;'));
    assert.match(
      stdout,
      /process \d+ \(sleep\) of user 12345 is running[^]*is not the directory for which the move was planned[^]*is not attached[^]*\n\/home\n$/,
    );
  },
);

move.run();
