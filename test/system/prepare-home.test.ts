/** Tests `prepare --only home` on real disks (loop devices) in a small system. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { outputOf, runHomeScript as inSmallSystem } from '../harness/home-step.ts';

const move = suite('prepare: /home moves');

move('completely, and the old content is removed when the new content is verified', () => {
  const script = `fill; picture /home >/run/before
    move_home; whole_home; findmnt -n -o OPTIONS /home | tail -n 1; cat /etc/fstab; home; grep -c prepare/ /proc/self/mountinfo || true
    mkdir /run/old; mount --bind / /run/old; picture /run/old/home | diff /run/before -; ls -A /run/immutafs
    printf x | dd of=/run/old/home/alice/holes conv=notrunc status=none; umount /run/old
    rm -r /home/bob; echo more >>/home/alice/suid; picture /home >/run/before
    home --apply --yes --purge-old-home && exit 1
    mount --bind / /run/old; (cd /run/old/home; echo ---; find . ! -type d); rm /run/old/home/alice/holes; umount /run/old
    home --apply --yes --purge-old-home; mount --bind / /run/old; ls -A /run/old/home; whole_home; home --purge-old-home`;
  const { stdout, stderr } = inSmallSystem(script);
  assert.match(
    stdout,
    /\nrw,nosuid,nodev,noexec,[^\n]*\n# of the test\n\S+ \/ xfs defaults 0 0\nUUID=[\da-f-]{36} \/home xfs rw,noexec,nodev,nosuid 0 0\ndone /,
  );
  assert.match(stderr, /^immutafs-agent: 1 file of the old \/home is kept, [^\n]*: alice\/holes\. [^\n]*\n$/);
  assert.match(
    stdout,
    /\n---\n\.\/alice\/holes\nhome: [^]*Removing the files [^\n]*\ndone .* is not on the system's disk\.\ndone .* is not on the system's disk\.\n$/,
  );
});

for (const [type, mkfs] of [
  ['xfs', ''],
  ['ext4', 'mkfs.ext4 -q -F "$volume"; '],
]) {
  move(`from a volume of the system's disk, ${type}; its line in fstab is kept as a comment`, () => {
    const script = `${mkfs}mount "$volume" /home; echo "$volume /home ${type} defaults 0 0" >>/etc/fstab; fill; picture /home >/run/before
    home --home-device "$disk" || true; move_home; whole_home; cat /etc/fstab; findmnt -n -o SOURCE /home | tail -n 1
    home --purge-old-home; mount "$volume" /srv; picture /srv | diff /run/before -`;
    const stdout = outputOf(script);
    assert.match(stdout, /^needed +home: \/home is (\S+), on the system's own disk, which/);
    assert.match(
      stdout,
      /\n#\S+ \/home \w+ defaults 0 0\nUUID=\S+ \/home xfs rw,noexec,nodev,nosuid 0 0\n\/dev\/loop\d+p1\ndone .*The old content is still on \S+: remove that volume manually\.\n$/,
    );
  });
}

for (const type of ['xfs', 'ext4']) {
  move(`to an existing file system: ${type}`, () => {
    const script = `mkfs.${type} -q "$disk"; name_by_uuid "$disk"; fill; picture /home >/run/before
      mount "$disk" /srv; touch /srv/mine; umount /srv
      home --apply --yes --home-uuid "$uuid" && exit 1
      mount "$disk" /srv; rm /srv/mine; umount /srv
      home --apply --yes --home-uuid "$uuid"; rmdir /home/lost+found 2>/dev/null || true
      touch -r /run/times /home; whole_home; findmnt -n -o FSTYPE /home | tail -n 1; tail -n 1 /etc/fstab`;
    const { stdout, stderr } = inSmallSystem(`touch -d "2011-02-03 04:05:06.7" /run/times; ${script}`);
    assert.match(stderr, /is not empty: mine/);
    assert.ok(stdout.endsWith(`\n${type}\n${stdout.split('\n').at(-2)}\n`), stdout);
    const more = type === 'ext4' ? ',errors=remount-ro' : '';
    assert.match(stdout, new RegExp(`UUID=\\S+ /home ${type} rw,noexec,nodev,nosuid${more} 0 0\\n$`));
  });
}

move('while a process writes to it: no written line is missing', () => {
  const script = `fill; head -c 60000000 /dev/urandom >/home/much; mkdir /home/w
    ( i=0; while [ ! -e /run/stop ]; do
        if echo "$i" 2>/dev/null >>/home/w/log; then echo "$i" >>/run/written; i=$((i + 1)); fi; sleep 0.002
      done ) 2>/dev/null &
    until move_home 2>/run/said; do grep -q "open for writing" /run/said; done
    sleep 0.2; touch /run/stop; wait; cmp /run/written /home/w/log; wc -l </home/w/log; findmnt -n -o TARGET /home | tail -n 1`;
  const stdout = outputOf(script);
  const [lines, target] = stdout.trimEnd().split('\n').slice(-2);
  assert.is(target, '/home');
  assert.ok(Number(lines) > 20, stdout);
});

move('not while processes use it; the copy so far stays', () => {
  const script = `fill; picture /home >/run/before; sleep 60 >>/home/alice/suid & one=$!; (cd /home/alice; exec sleep 60) & two=$!; sleep 60 </home/alice & three=$!; sleep 0.2
    move_home && exit 1 || test $? = 1; findmnt /home && exit 1; whole_home; cat /etc/fstab; touch /home/writable; rm /home/writable; touch -d "2011-02-03 04:05:06.7" /home
    kill $one $two $three; wait; move_home; whole_home; findmnt -n -o TARGET /home | tail -n 1`;
  const { stdout, stderr } = inSmallSystem(script);
  for (const use of [
    'has /home/alice/suid open for writing',
    'works in /home/alice',
    'has the directory /home/alice open',
  ])
    assert.match(stderr, new RegExp(`sleep \\(process \\d+\\) ${use}`));
  assert.match(stdout, /In use now: sleep/);
  assert.match(stdout, /the interrupted run on \S+ is continued/);
  assert.is(stdout.split('UUID=').length, 1, 'fstab is as it was');
});

move('a disk that is too small, by the size of its file system', () => {
  const script = `head -c 250000000 /dev/urandom >/home/much; cp /etc/fstab /run/fstab; truncate -s 300M /home/hole
    move_home && exit 1; cmp /etc/fstab /run/fstab; findmnt /home || echo a folder`;
  const { stdout, stderr } = inSmallSystem(script, 320);
  assert.match(stdout + stderr, /is too small: \/home takes 238 MiB/);
  assert.match(stdout, /a folder\n$/);
});

move(
  'after --undo, the plan says that the next boot mounts another /home; named by an option, it gets its line again',
  () => {
    const script = `fill; picture /home >/run/before; move_home >/dev/null; cp /etc/fstab /run/fstab; name_by_uuid "$disk"p1
    agent prepare --undo; cat /etc/fstab; home --home-uuid 1-2 || echo -; home || echo -; move_home; whole_home; sort /etc/fstab >/run/1; sort /run/fstab | cmp - /run/1; home`;
    const stdout = outputOf(script);
    assert.equal(
      stdout.match(/^blocked .*The next boot does not mount it on \/home: \/etc\/fstab names no \/home\./gm)
        ?.length,
      2,
    );
    assert.match(stdout, /\ndone .*is not on the system's disk\./);
  },
);

move('a copy that was in use as /home is not overwritten', () => {
  const script = `fill; cp /etc/fstab /run/fstab; move_home >/dev/null
    uuid=$(blkid -p -s UUID -o value "$disk"p1)
    printf "immutafs home copied %s %s\\n" "$uuid" "$(date +%s)" | dd of="$disk" bs=1 seek=524288 conv=notrunc status=none
    sleep 4; echo precious >/home/alice/new; umount /home; umount /home; cp /run/fstab /etc/fstab
    move_home && exit 1; mount "$disk"p1 /srv; cat /srv/alice/new; umount /srv
    home --apply --yes --home-device "$disk" --wipe "$disk" >/dev/null; ls /home/alice/new || echo gone`;
  const { stdout, stderr } = inSmallSystem(script);
  assert.match(stderr, /contains a \/home that was in use after it was copied \(\/alice(\/new)? is newer\)/);
  assert.match(stdout, /\nprecious\ngone\n$/);
});
move.run();
