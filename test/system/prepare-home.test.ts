/** `prepare --only home` on real disks (loop devices) in a small system of its own. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { outputOf, runHomeScript as inSmallSystem } from '../harness/home-step.ts';

const refused = suite('prepare: what /home cannot be moved to');
const plan = 'home --home-device "$disk" && echo no';

refused('an empty disk is not refused, and planning changes nothing', () => {
  const script = `fill; sync; sha256sum "$disk" /etc/fstab >/run/before; home --home-device $disk || true
    sync; sha256sum "$disk" /etc/fstab | cmp - /run/before; find /run /var/lib -name 'prepare*'`;
  const stdout = outputOf(script);
  assert.match(stdout, /^needed +home: .* \S+ gets it\. To be run: parted -s -a optimal/);
  assert.is(stdout.trimEnd().split('\n').length, 1, stdout);
});

for (const [title, setUp, reason, command = plan] of [
  ["the system's own disk", '', /is the system's own disk \([^)]*\), which/, 'home --home-device "$system"'],
  [
    "the system's own disk, though --wipe names it",
    '',
    /is the system's own disk/,
    'home --home-device "$system" --wipe "$system"',
  ],
  ['nothing', '', /\/dev\/nothing is no block device/, 'home --home-device /dev/nothing'],
  ['no disk at all', '', /Name a disk for it: --home-device|Give the guest a second disk/, 'home'],
  [
    'a partition table',
    'parted -s "$disk" mklabel gpt 2>/dev/null',
    /is not empty: it holds a partition table\. If all that may be lost: --wipe \/dev\/loop\d+\./,
  ],
  [
    'a partition with a file system',
    'parted -s "$disk" mklabel msdos mkpart primary 0% 100% 2>/dev/null; mkfs.xfs -q -L old "$disk"p1',
    /a partition table, the partition \S+p1 with a file system \(xfs, label old, UUID/,
  ],
  [
    'a partition, not its disk',
    'parted -s "$disk" mklabel gpt mkpart x 0% 100% 2>/dev/null',
    /is a partition: name the whole disk/,
    'home --home-device "$disk"p1',
  ],
  ['a file system', 'mkfs.ext4 -q -L data "$disk"', /it holds a file system \(ext4, label data/],
  ['LVM', 'LVM_SYSTEM_DIR=/run pvcreate -qq "$disk" 2>/dev/null', /it holds a physical volume of LVM/],
  ['swap space', 'mkswap -q "$disk"', /it holds swap space/],
  [
    'data of its own kind',
    'printf x | dd of="$disk" bs=1 seek=9999 status=none',
    /data of a kind that is not known/,
  ],
  [
    'data at its end',
    'printf x | dd of="$disk" bs=1 seek=$(($(blockdev --getsize64 "$disk") - 9)) status=none',
    /data of a kind that is not known/,
  ],
  [
    'a mark of ours beside what is not ours',
    'printf "immutafs home making - 1\\n" | dd of="$disk" bs=1 seek=524288 status=none; parted -s "$disk" mklabel gpt mkpart mine 2MiB 100% 2>/dev/null',
    /it holds a partition table, the partition/,
  ],
  [
    'what is mounted, though --wipe names it',
    'mkfs.ext4 -q "$disk"; mount "$disk" /srv',
    /is mounted at \/srv/,
    `${plan} --wipe "$disk"`,
  ],
  [
    'what fstab names',
    'echo "$disk /data xfs defaults 0 0" >>/etc/fstab',
    /is named in line 3 of \/etc\/fstab, for \/data/,
  ],
  ['a read-only disk', 'trap "blockdev --setrw $disk" EXIT; blockdev --setro "$disk"', /is read-only\./],
  [
    'while something is mounted below /home',
    'mkdir /home/x; mount -t tmpfs x /home/x',
    /Mounted below \/home, and would be hidden: \/home\/x/,
  ],
  ['a file system that is not there', '', /UUID=1-2 is no file system of this guest/, 'home --home-uuid 1-2'],
] as const) {
  refused(title, () => {
    const { code, stdout, stderr } = inSmallSystem(`${setUp}\n${command}`);
    assert.match(stdout, /^blocked +home: /, stdout + stderr);
    assert.match(stdout, reason);
    assert.is(code, 1);
  });
}

refused('a disk that is too small, by its size', () => {
  const { stdout } = inSmallSystem(`head -c 60000000 /dev/urandom >/home/much; ${plan}`, 100);
  assert.match(stdout, / is too small: \/home takes 57 MiB, 100 MiB have room for about 17 MiB/);
});

refused('--wipe: what it names loses all, and is said to', () => {
  const script = `mkfs.ext4 -q "$disk"; fill; home --home-device "$disk" --wipe "$disk" || true
    home --apply --yes --home-device "$disk" --wipe "$disk"; findmnt -n -o SOURCE,FSTYPE /home | tail -n 1`;
  assert.match(
    outputOf(script),
    /What \S+ holds is lost: a file system \(ext4[\s\S]*\/dev\/loop\d+p1 +xfs\n$/,
  );
});
refused.run();

const move = suite('prepare: /home moves');
const apply = 'home --apply --yes --home-device "$disk"';
/** What must hold at any moment. */
const whole = 'picture /home >/run/now; diff /run/before /run/now';

move('with everything, and the old content goes when the new one is proven', () => {
  const script = `fill; picture /home >/run/before
    ${apply}; ${whole}; findmnt -n -o OPTIONS /home | tail -n 1; cat /etc/fstab; home; grep -c prepare/ /proc/self/mountinfo || true
    mkdir /run/old; mount --bind / /run/old; picture /run/old/home | diff /run/before -; ls -A /run/immutafs
    printf x | dd of=/run/old/home/alice/holes conv=notrunc status=none; umount /run/old
    rm -r /home/bob; echo more >>/home/alice/suid; picture /home >/run/before
    home --apply --yes --purge-old-home && exit 1
    mount --bind / /run/old; (cd /run/old/home; echo ---; find . ! -type d); rm /run/old/home/alice/holes; umount /run/old
    home --apply --yes --purge-old-home; mount --bind / /run/old; ls -A /run/old/home; ${whole}; home --purge-old-home`;
  const { code, stdout, stderr } = inSmallSystem(script);
  assert.is(code, 0, stdout + stderr);
  assert.match(
    stdout,
    /\nrw,nosuid,nodev,noexec,[^\n]*\n# of the test\n\S+ \/ xfs defaults 0 0\nUUID=[\da-f-]{36} \/home xfs rw,noexec,nodev,nosuid 0 0\ndone /,
  );
  assert.match(stderr, /^immutafs-agent: 1 file of the old \/home is kept, [^\n]*: alice\/holes\. [^\n]*\n$/);
  assert.match(
    stdout,
    /\n---\n\.\/alice\/holes\nhome: [^]*Removing what [^\n]*\ndone .* is not on the system's disk\.\n\n {2}Nothing is left to do;/,
  );
});

for (const [type, mkfs] of [
  ['xfs', ''],
  ['ext4', 'mkfs.ext4 -q -F "$volume"; '],
]) {
  move(`from a volume of the system's disk, ${type}; its line in fstab is kept as a comment`, () => {
    const script = `${mkfs}mount "$volume" /home; echo "$volume /home ${type} defaults 0 0" >>/etc/fstab; fill; picture /home >/run/before
    home --home-device "$disk" || true; ${apply}; ${whole}; cat /etc/fstab; findmnt -n -o SOURCE /home | tail -n 1
    home --purge-old-home; mount "$volume" /srv; picture /srv | diff /run/before -`;
    const stdout = outputOf(script);
    assert.match(stdout, /^needed +home: \/home is (\S+), on the system's own disk, which/);
    assert.match(
      stdout,
      /\n#\S+ \/home \w+ defaults 0 0\nUUID=\S+ \/home xfs rw,noexec,nodev,nosuid 0 0\n\/dev\/loop\d+p1\ndone .*The old content is still on \S+: remove that volume by hand\.\n$/,
    );
  });
}

for (const type of ['xfs', 'ext4']) {
  move(`to a file system that is there: ${type}`, () => {
    const script = `mkfs.${type} -q "$disk"; name_by_uuid "$disk"; fill; picture /home >/run/before
      mount "$disk" /srv; touch /srv/mine; umount /srv
      home --apply --yes --home-uuid "$uuid" && exit 1
      mount "$disk" /srv; rm /srv/mine; umount /srv
      home --apply --yes --home-uuid "$uuid"; rmdir /home/lost+found 2>/dev/null || true
      touch -r /run/times /home; ${whole}; findmnt -n -o FSTYPE /home | tail -n 1; tail -n 1 /etc/fstab`;
    const { code, stdout, stderr } = inSmallSystem(`touch -d "2011-02-03 04:05:06.7" /run/times; ${script}`);
    assert.is(code, 0, stdout + stderr);
    assert.match(stderr, /is not empty: mine/);
    assert.ok(stdout.endsWith(`\n${type}\n${stdout.split('\n').at(-2)}\n`), stdout);
    assert.match(stdout, new RegExp(`UUID=\\S+ /home ${type} rw,noexec,nodev,nosuid 0 0\\n$`));
  });
}

move('while it is written to: no line that was written is missing', () => {
  const script = `fill; head -c 60000000 /dev/urandom >/home/much; mkdir /home/w
    ( i=0; while [ ! -e /run/stop ]; do
        if echo "$i" 2>/dev/null >>/home/w/log; then echo "$i" >>/run/written; i=$((i + 1)); fi; sleep 0.002
      done ) 2>/dev/null &
    until ${apply} 2>/run/said; do grep -q "open for writing" /run/said; done
    sleep 0.2; touch /run/stop; wait; cmp /run/written /home/w/log; wc -l </home/w/log; findmnt -n -o TARGET /home | tail -n 1`;
  const stdout = outputOf(script);
  const [lines, target] = stdout.trimEnd().split('\n').slice(-2);
  assert.is(target, '/home');
  assert.ok(Number(lines) > 20, stdout);
});

for (const [title, hold, reason] of [
  [
    'has a file open for writing',
    'sleep 60 >>/home/alice/suid &',
    /sleep \(process \d+\) has \/home\/alice\/suid open for writing/,
  ],
  ['works in a folder', '(cd /home/alice; exec sleep 60) &', /sleep \(process \d+\) works in \/home\/alice/],
  ['has a folder open', 'sleep 60 </home/alice &', /sleep \(process \d+\) has the folder \/home\/alice open/],
] as const) {
  move(`not while somebody ${title}; what is copied stays`, () => {
    const script = `fill; picture /home >/run/before; ${hold} holder=$!; sleep 0.2
      ${apply} && exit 1 || test $? = 1; findmnt /home && exit 1; ${whole}; cat /etc/fstab; touch /home/writable; rm /home/writable; touch -d "2011-02-03 04:05:06.7" /home
      kill "$holder"; wait "$holder" || true; ${apply}; ${whole}; findmnt -n -o TARGET /home | tail -n 1`;
    const { code, stdout, stderr } = inSmallSystem(script);
    assert.is(code, 0, stdout + stderr);
    assert.match(stderr, reason);
    assert.match(stdout, /In use now: sleep/);
    assert.match(stdout, /an interrupted run began with \S+: it goes on/);
    assert.is(stdout.split('UUID=').length, 1, 'fstab is as it was');
  });
}

move('a disk that breaks while /home is copied leaves /home and fstab as they are', () => {
  // Its image is on a file system with less room than the disk has.
  const script = `head -c 150000000 /dev/urandom >/home/much; picture /home >/run/before; cp /etc/fstab /run/fstab
    mount -t tmpfs -o size=120m x /srv; truncate -s 400m /srv/image; broken=$(losetup -f --show -P /srv/image); exec 7<"$broken"; losetup -d "$broken"
    home --apply --yes --home-device "$broken" && exit 1; findmnt /home && exit 1; ${whole}; cmp /etc/fstab /run/fstab
    touch /home/writable; grep prepare/ /proc/self/mountinfo || echo nothing left`;
  const { code, stdout, stderr } = inSmallSystem(script);
  assert.is(code, 0, stdout + stderr);
  assert.match(
    stderr,
    /immutafs-agent: .*(Input\/output error|No space left|is not the same|Structure needs cleaning)/,
  );
  assert.match(stdout, /nothing left\n$/);
});

move('a disk that is too small when it comes to it', () => {
  const script = `head -c 250000000 /dev/urandom >/home/much; cp /etc/fstab /run/fstab; truncate -s 300M /home/hole
    ${apply} && exit 1; cmp /etc/fstab /run/fstab; findmnt /home || echo a folder`;
  const { code, stdout, stderr } = inSmallSystem(script, 320);
  assert.is(code, 0, stdout + stderr);
  assert.match(stdout + stderr, /is too small: \/home takes 238 MiB/);
  assert.match(stdout, /a folder\n$/);
});

move('interrupted by SIGTERM: nothing is left mounted, /home can be written to', () => {
  const script = `fill; head -c 100000000 /dev/urandom >/home/much; touch -d "2011-02-03 04:05:06.7" /home; picture /home >/run/before; cp /etc/fstab /run/fstab
    for delay in 0.1 0.4 0.7 1 1.3; do
      interrupt TERM "$delay"; findmnt -n /home && break
      cmp /etc/fstab /run/fstab; grep prepare/ /proc/self/mountinfo && exit 1; touch /home/writable; rm /home/writable; touch -d "2011-02-03 04:05:06.7" /home; ${whole}
      tail -n 1 /run/said
    done
    ${apply} || cat /run/said; ${whole}; findmnt -n -o TARGET /home | tail -n 1`;
  const stdout = outputOf(script);
  assert.match(stdout, /interrupted by SIGTERM/);
  assert.match(stdout, /\n\/home\n$/);
});

move('killed anywhere: /home is whole, the next run completes', () => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e6));
  console.log(`seed ${seed}`);
  let state = seed;
  const random = () => (state = (state * 1103515245 + 12345) % 2 ** 31) / 2 ** 31;
  const delays = Array.from({ length: 6 }, () => (random() * 1.5).toFixed(2)).join(' ');
  const script = `fill; head -c 50000000 /dev/urandom >/home/much; touch -d "2011-02-03 04:05:06.7" /home; picture /home >/run/before
    for delay in ${delays}; do
      interrupt KILL "$delay"
      ${whole}
    done
    ${apply}; ${whole}; findmnt -n -o TARGET,OPTIONS /home | tail -n 1; grep prepare/ /proc/self/mountinfo || echo nothing left`;
  assert.match(outputOf(script), /\n\/home +rw,nosuid,nodev,noexec[^\n]*\nnothing left\n$/);
});

move('a file that a power cut left with its size and time, and not its content, is copied again', () => {
  const script = `fill; picture /home >/run/before; (cd /home/alice; exec sleep 60) & holder=$!; sleep 0.2
    ${apply} && exit 1; mount "$disk"p1 /srv
    head -c 3000000 /dev/zero | dd of=/srv/alice/data conv=notrunc status=none; touch -r /home/alice/data /srv/alice/data; umount /srv
    kill "$holder"; wait "$holder" || true; ${apply}; ${whole}; findmnt -n -o TARGET /home | tail -n 1`;
  const stdout = outputOf(script);
  assert.match(stdout, /is not the same in 1 places: >fc\S+ alice\/data; copying these again\n/);
  assert.match(stdout, /\n\/home\n$/);
});

for (const [title, when, expected] of [
  ['is in fstab: only its mark is removed', '', /The mark of an unfinished copy is still on it/],
  [
    'is not, and was never used',
    'umount /home; umount /home; cp /run/fstab /etc/fstab',
    /an interrupted run began with/,
  ],
] as const) {
  move(`a power cut behind the comparison; the copy ${title}`, () => {
    const script = `fill; picture /home >/run/before; cp /etc/fstab /run/fstab; ${apply} >/dev/null; sleep 3
      uuid=$(blkid -p -s UUID -o value "$disk"p1)
      printf "%-0512s" "" | tr " " "\\000" | dd of="$disk" bs=512 seek=1024 conv=notrunc status=none
      printf "immutafs home copied %s %s\\n" "$uuid" "$(date +%s)" | dd of="$disk" bs=1 seek=524288 conv=notrunc status=none
      ${when}
      home --home-device "$disk" || true; ${apply}; ${whole}; home; findmnt -n -o TARGET /home | tail -n 1
      dd if="$disk" bs=512 skip=1024 count=1 status=none | tr -d "\\000" | wc -c`;
    const stdout = outputOf(script);
    assert.match(stdout, expected);
    assert.match(stdout, /\ndone .*[^]*\n\/home\n0\n$/);
  });
}

move(
  'undone, /home is another one at the next boot, and is said to be; asked for by name it gets its line again',
  () => {
    const script = `fill; picture /home >/run/before; ${apply} >/dev/null; cp /etc/fstab /run/fstab; name_by_uuid "$disk"p1
    agent prepare --undo; cat /etc/fstab; home --home-uuid 1-2 || echo -; home || echo -; ${apply}; ${whole}; sort /etc/fstab >/run/1; sort /run/fstab | cmp - /run/1; home`;
    const stdout = outputOf(script);
    assert.equal(
      stdout.match(/^blocked .*At the next boot it would not be \/home: \/etc\/fstab names no \/home\./gm)
        ?.length,
      2,
    );
    assert.match(stdout, /\ndone .*is not on the system's disk\./);
  },
);

move('a copy that was /home since is not copied over', () => {
  const script = `fill; cp /etc/fstab /run/fstab; ${apply} >/dev/null
    uuid=$(blkid -p -s UUID -o value "$disk"p1)
    printf "immutafs home copied %s %s\\n" "$uuid" "$(date +%s)" | dd of="$disk" bs=1 seek=524288 conv=notrunc status=none
    sleep 4; echo precious >/home/alice/new; umount /home; umount /home; cp /run/fstab /etc/fstab
    ${apply} && exit 1; mount "$disk"p1 /srv; cat /srv/alice/new; umount /srv
    ${apply} --wipe "$disk" >/dev/null; ls /home/alice/new || echo gone`;
  const { code, stdout, stderr } = inSmallSystem(script);
  assert.is(code, 0, stdout + stderr);
  assert.match(stderr, /holds a copy of \/home that was in use since: \/alice(\/new)? is newer/);
  assert.match(stdout, /\nprecious\ngone\n$/);
});
move.run();

const options = suite('prepare: /home is a mount already');
options('its options are mended, in fstab and now', () => {
  const script = `mkfs.xfs -q "$disk"; mount "$disk" /home; echo "$disk /home xfs defaults,uquota 0 0" >>/etc/fstab
    home || true; home --apply --yes; tail -n 1 /etc/fstab; findmnt -n -o OPTIONS /home`;
  const stdout = outputOf(script);
  assert.match(stdout, /^needed +home: .*missing: noexec, nosuid, nodev/);
  assert.match(stdout, /\n\S+ \/home xfs defaults,uquota,noexec,nosuid,nodev 0 0\nrw,nosuid,nodev,noexec/);
});
options('by hand where a unit mounts it', () => {
  const script =
    'mkdir -p /etc/systemd/system; touch /etc/systemd/system/home.mount; mkfs.xfs -q "$disk"; mount "$disk" /home; home';
  assert.match(inSmallSystem(script).stdout, /^by hand +home: .*No line of \/etc\/fstab mounts it/);
});
options('where nothing mounts it at the next boot it gets a line, if it is asked for', () => {
  const script = `mkfs.xfs -q "$disk"; mount "$disk" /home; home || echo -; echo "$volume /home xfs defaults 0 0" >>/etc/fstab; home || true
    name_by_uuid "$disk"; home --apply --yes --home-uuid "$uuid"; tail -n 2 /etc/fstab; findmnt -n -o OPTIONS /home`;
  const stdout = outputOf(script);
  assert.match(
    stdout,
    /^blocked +home: .*\/etc\/fstab names no \/home\. Name it by --home-device or --home-uuid/,
  );
  assert.match(stdout, /\nblocked +home: .*\/etc\/fstab names \/dev\/loop\d+p2\./);
  assert.match(
    stdout,
    /\n#\S+ \/home xfs defaults 0 0\nUUID=\S+ \/home xfs rw,noexec,nodev,nosuid 0 0\nrw,nosuid,nodev,noexec/,
  );
});
options('with them there is nothing to do', () => {
  const script =
    'mkfs.xfs -q "$disk"; mount -o nosuid,noexec,nodev "$disk" /home; echo "$disk /home xfs noexec,nosuid,nodev 0 0" >>/etc/fstab; home';
  assert.match(outputOf(script), /^done +home: /);
});
options.run();
