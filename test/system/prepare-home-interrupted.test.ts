/**
 * Tests that `prepare --only home` can be interrupted by signals, SIGKILL, a broken disk and power cuts (small system,
 * loop devices).
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { outputOf, runHomeScript as inSmallSystem } from '../harness/home-step.ts';

const move = suite('prepare: the migration of /home is interrupted');
/** Leaves a copy of /home on the disk, because a process used /home. */
const copied = `fill; picture /home >/run/before; (cd /home/alice; exec sleep 60) & holder=$!; sleep 0.2
    move_home && exit 1; kill "$holder"; wait "$holder" || true`;
/** Completes the migration. */
const completed = 'move_home; whole_home; findmnt -n -o TARGET /home | tail -n 1';

move('a disk that breaks while /home is copied leaves /home and fstab as they are', () => {
  // The image of the disk is on a file system that is smaller than the disk.
  const script = `head -c 150000000 /dev/urandom >/home/much; picture /home >/run/before; cp /etc/fstab /run/fstab
    mount -t tmpfs -o size=120m x /srv; truncate -s 400m /srv/image; broken=$(losetup -f --show -P /srv/image); exec 7<"$broken"; losetup -d "$broken"
    home --apply --yes --home-device "$broken" && exit 1; findmnt /home && exit 1; whole_home; cmp /etc/fstab /run/fstab
    touch /home/writable; grep prepare/ /proc/self/mountinfo || echo nothing left`;
  const { stdout, stderr } = inSmallSystem(script);
  assert.match(
    stderr,
    /immutafs-agent: .*(Input\/output error|No space left|is not the same|Structure needs cleaning)/,
  );
  assert.match(stdout, /nothing left\n$/);
});

move('interrupted by SIGTERM: nothing is left mounted, /home can be written to', () => {
  const script = `fill; head -c 100000000 /dev/urandom >/home/much; touch -d "2011-02-03 04:05:06.7" /home; picture /home >/run/before; cp /etc/fstab /run/fstab
    for delay in 0.1 0.4 0.7 1 1.3; do
      interrupt TERM "$delay"; findmnt -n /home && break
      cmp /etc/fstab /run/fstab; grep prepare/ /proc/self/mountinfo && exit 1; touch /home/writable; rm /home/writable; touch -d "2011-02-03 04:05:06.7" /home; whole_home
      tail -n 1 /run/said
    done
    move_home || cat /run/said; whole_home; findmnt -n -o TARGET /home | tail -n 1`;
  const stdout = outputOf(script);
  assert.match(stdout, /interrupted by SIGTERM/);
  assert.match(stdout, /\n\/home\n$/);
});

move('killed anywhere: /home is complete, and the next run completes the migration', () => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e6));
  console.log(`seed ${seed}`);
  let state = seed;
  const random = () => (state = (state * 1103515245 + 12345) % 2 ** 31) / 2 ** 31;
  const delays = Array.from({ length: 6 }, () => (random() * 1.5).toFixed(2)).join(' ');
  const script = `fill; head -c 50000000 /dev/urandom >/home/much; touch -d "2011-02-03 04:05:06.7" /home; picture /home >/run/before
    for delay in ${delays}; do
      interrupt KILL "$delay"
      whole_home
    done
    move_home; whole_home; findmnt -n -o TARGET,OPTIONS /home | tail -n 1; grep prepare/ /proc/self/mountinfo || echo nothing left`;
  const stdout = outputOf(script);
  assert.match(stdout, /\n\/home +rw,nosuid,nodev,noexec[^\n]*\nnothing left\n$/, stdout);
});

move('killed as it unmounts the copy after the cutover: the next run unmounts it', () => {
  const script = `fill; picture /home >/run/before
    cp /usr/bin/umount /run/umount.real
    printf '#!/bin/sh\\ncase "$*" in /run/immutafs/prepare/new) if findmnt -n -o OPTIONS /home | grep -q ^rw; then kill -KILL $(cat /run/immutafs/prepare.lock); exit 1; fi;; esac; exec /run/umount.real "$@"\\n' >/run/umount.fake
    chmod +x /run/umount.real /run/umount.fake; mount --bind /run/umount.fake /usr/bin/umount
    move_home && exit 1; /run/umount.real /usr/bin/umount; grep -c prepare/new /proc/self/mountinfo
    move_home; whole_home; grep prepare/ /proc/self/mountinfo || echo nothing left`;
  assert.match(outputOf(script), /\n1\n[^]*\nnothing left\n$/);
});

move('a file that a power cut left with its size and time but wrong content is copied again', () => {
  const script = `${copied}; mount "$disk"p1 /srv
    head -c 3000000 /dev/zero | dd of=/srv/alice/data conv=notrunc status=none; touch -r /home/alice/data /srv/alice/data; umount /srv
    ${completed}`;
  const stdout = outputOf(script);
  assert.match(stdout, /is not the same in 1 places: >fc\S+ alice\/data; copying these again\n/);
  assert.match(stdout, /\n\/home\n$/);
});

move(
  'a file system of an interrupted copy that cannot be mounted is made again, and every action is logged',
  () => {
    // Write zeros over the headers of the first allocation group, so that blkid still finds an XFS.
    const script = `${copied}; dd if=/dev/zero of="$disk"p1 bs=512 seek=1 count=3 conv=notrunc status=none
    ${completed}
    grep -Eo '"(do|problem)": .*' /var/lib/immutafs/prepare.json`;
    const stdout = outputOf(script);
    assert.match(stdout, /\S+p1 cannot be mounted \([^\n]*\): the file system will be created again\nhome: /);
    const log = [...stdout.matchAll(/"do": "(.*)",?\n"problem": (null|")/g)];
    assert.equal(
      log.map(([, action, problem]) => `${action}${problem === 'null' ? '' : ' failed'}`),
      [
        ...['partition-home', 'format-home', 'copy-home', 'verify-home failed', 'copy-home failed'],
        ...['partition-home', 'format-home', 'copy-home', 'verify-home', 'cutover-home', 'clear-home-marker'],
      ],
    );
    assert.match(stdout, /\n\/home\n/);
  },
);

move('a signal while the interrupted copy is mounted again does not discard the copy', () => {
  const script = `${copied}
    cp /usr/bin/mount /run/mount.real; chmod +x /run/mount.real
    printf '#!/bin/sh\\ncase " $* " in *" %sp1 "*) kill -TERM $(cat /run/immutafs/prepare.lock); sleep 0.5; exit 32;; esac; exec /run/mount.real "$@"\\n' "$disk" >/run/mount.fake
    chmod +x /run/mount.fake; mount --bind /run/mount.fake /usr/bin/mount
    move_home 2>&1 && exit 1; umount /usr/bin/mount; whole_home
    dd if="$disk" bs=512 skip=1024 count=1 status=none | tr -d "\\000"; grep -c partition-home /var/lib/immutafs/prepare.json
    ${completed}`;
  assert.match(
    outputOf(script),
    /interrupted by SIGTERM\n(.*\n)*immutafs home copying [^\n]*\n1\n(.*\n)*\/home\n$/,
  );
});

for (const [title, when, expected] of [
  [
    'is in fstab: only its progress marker is removed',
    '',
    /interrupted after its copy was complete: \S+ still has a progress marker/,
  ],
  [
    'is not in fstab, and was never used',
    'umount /home; umount /home; cp /run/fstab /etc/fstab',
    /the interrupted run on \S+ is continued/,
  ],
] as const) {
  move(`a power cut after the comparison; the copy ${title}`, () => {
    const script = `fill; picture /home >/run/before; cp /etc/fstab /run/fstab; move_home >/dev/null; sleep 3
      uuid=$(blkid -p -s UUID -o value "$disk"p1)
      printf "%-0512s" "" | tr " " "\\000" | dd of="$disk" bs=512 seek=1024 conv=notrunc status=none
      printf "immutafs home copied %s %s\\n" "$uuid" "$(date +%s)" | dd of="$disk" bs=1 seek=524288 conv=notrunc status=none
      ${when}
      home --home-device "$disk" || true; move_home; whole_home; home; findmnt -n -o TARGET /home | tail -n 1
      dd if="$disk" bs=512 skip=1024 count=1 status=none | tr -d "\\000" | wc -c`;
    const stdout = outputOf(script);
    assert.match(stdout, expected);
    assert.match(stdout, /\ndone .*[^]*\n\/home\n0\n$/);
  });
}
move.run();
