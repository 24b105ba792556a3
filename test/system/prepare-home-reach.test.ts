/**
 * Tests `prepare --only home` if the files of /home can be reached by other ways than the mount on /home: bind mounts,
 * mount namespaces, loop devices, overlays. Data that are written in these ways must not be lost. Uses real mounts in a
 * small system.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { outputOf, runHomeScript } from '../harness/home-step.ts';

/** Delays the copy until /run/go exists. */
const held = `cp /usr/bin/rsync /run/rsync; printf '#!/bin/sh\\nuntil [ -e /run/go ]; do sleep 0.05; done\\nexec /run/rsync "$@"\\n' >/run/held; chmod +x /run/held; mount --bind /run/held /usr/bin/rsync`;
const untouched = 'findmnt /home && exit 1; cmp /etc/fstab /run/fstab';

const reached = suite('prepare: other ways to /home');
for (const [title, setUp, reasons, tearDown] of [
  [
    'a bind mount with a file that is held open',
    `mkdir -p /srv/sftp/alice; mount --bind /home/alice /srv/sftp/alice; sleep 60 >>/srv/sftp/alice/log & holder=$!`,
    [/\/home\/alice is also mounted at \/srv\/sftp\/alice[^]*umount \/srv\/sftp\/alice/],
    'kill $holder; wait $holder || true; umount /srv/sftp/alice',
  ],
  [
    'processes in private mount namespaces: one with /home/bob bound, one with nothing but its own copy of /',
    `mkdir /srv/c; unshare -m sh -c 'mount --bind /home/bob /srv/c; touch /run/one; exec sleep 60' & one=$!
      unshare -m sh -c 'touch /run/two; exec sleep 60' & two=$!; until [ -e /run/one ] && [ -e /run/two ]; do sleep 0.1; done`,
    [
      /sleep \(process \d+\) has a mount namespace of its own, in which \/home\/bob is mounted at \S*\/srv\/c/,
      /(sleep \(process \d+\)) has a mount namespace of its own, in which \/home is reached at \S*\/home[^]*(?!\1)sleep \(process \d+\) has a mount namespace of its own, in which \/home is reached at/,
    ],
    'kill $one $two; wait $one $two || true',
  ],
  [
    'a loop device, and an overlay with its upper directory',
    `truncate -s 10M /home/alice/image; loop=$(losetup -f --show /home/alice/image); mkdir /home/alice/upper /home/alice/work /srv/o
      mount -t overlay x -o lowerdir=/etc,upperdir=/home/alice/upper,workdir=/home/alice/work /srv/o`,
    [
      /\/dev\/loop\d+ has its content in \/home\/alice\/image[^]*losetup -d \/dev\/loop\d+/,
      /the overlay on \/srv\/o uses \/home\/alice\/upper[^]*umount \/srv\/o/,
    ],
    'losetup -d "$loop"; rm /home/alice/image; umount /srv/o; sleep 0.5',
  ],
] as const) {
  reached(
    `${title}: the plan and --apply name it, refuse, and change nothing; without it /home moves`,
    () => {
      const script = `fill; cp /etc/fstab /run/fstab; ${setUp}
      home --home-device "$disk" && exit 1; move_home && exit 1; ${untouched}
      echo ---; ${tearDown}; move_home >/run/said || { cat /run/said; exit 9; }; findmnt -n -o TARGET /home | tail -n 1`;
      const stdout = outputOf(script);
      assert.match(stdout, /^blocked +home: /m);
      for (const reason of reasons) assert.match(stdout, reason);
      assert.match(stdout, /---\n\/home\n$/);
    },
  );
}

reached(
  'a mount namespace that receives mounts (a service with a private /tmp) is no obstacle: it gets the new /home',
  () => {
    const script = `fill
    unshare -m --propagation slave sh -c 'mount -t tmpfs x /tmp; touch /run/ready; exec sleep 60' & holder=$!; until [ -e /run/ready ]; do sleep 0.1; done
    move_home; findmnt -n -o SOURCE /home | tail -n 1; nsenter -t $holder -m findmnt -n -o SOURCE -T "$(readlink /proc/$holder/root)/home" | tail -n 1
    kill $holder`;
    const [own = '', other] = outputOf(script).trimEnd().split('\n').slice(-2);
    assert.match(own, /^\/dev\/loop\d+p1$/);
    assert.is(other, own);
  },
);

reached('a bind mount that appears while /home is copied', () => {
  const script = `fill; mkdir /srv/c; cp /etc/fstab /run/fstab; ${held}
    move_home >/run/said 2>&1 & agent=$!; until grep -q "it can be used meanwhile" /run/said; do sleep 0.02; done
    unshare -m sh -c 'mount --bind /home/bob /srv/c; echo late >/srv/c/late; touch /run/go; exec sleep 60' & holder=$!
    wait $agent && exit 1; cat /run/said; ${untouched}; cat /home/bob/late; touch /home/writable; kill $holder`;
  const stdout = outputOf(script);
  assert.match(stdout, /\/home\/bob is mounted at \S*\/srv\/c/);
  assert.match(stdout, /late\n$/);
});
reached.run();

const purge = suite('prepare: --purge-old-home');
purge(
  'removes files that are unchanged in the old /home; keeps and lists files that have been changed there',
  () => {
    const script = `fill; for name in equal newer both old gone new-only; do echo 1 >/home/alice/$name; done; move_home >/dev/null
    mkdir /run/old; mount --bind / /run/old; old=/run/old/home/alice
    echo 2 >/home/alice/newer; rm /home/alice/gone; sleep 0.05
    echo 3 >/home/alice/both; echo 4 >$old/both; echo 5 >$old/old; echo 6 >$old/added; chmod 0600 $old/new-only; echo 7 >/home/alice/new-only
    umount /run/old; home --apply --yes --purge-old-home && exit 1 || test $? = 1
    mount --bind / /run/old; (cd /run/old/home; find . ! -type d | sort); echo ---; cat $old/both $old/old $old/added /home/alice/newer; ls /home/alice | wc -l
    umount /run/old; agent prepare --undo && exit 1; rm -r /run/old`;
    const { stdout, stderr } = runHomeScript(script);
    assert.match(
      stdout,
      /\n\.\/alice\/added\n\.\/alice\/both\n\.\/alice\/new-only\n\.\/alice\/old\n---\n4\n5\n6\n2\n/,
    );
    for (const name of ['added', 'both', 'new-only', 'old']) assert.match(stdout + stderr, `alice/${name}`);
    assert.match(stderr, /4 files of the old \/home/);
  },
);
purge('removes nothing while something else can write to the old /home', () => {
  const script = `fill; move_home >/dev/null; mkdir /run/old; mount --bind / /run/old
    home --apply --yes --purge-old-home && exit 1 || test $? = 1; ls /run/old/home; umount /run/old; home --apply --yes --purge-old-home; mount --bind / /run/old; ls -A /run/old/home | wc -l`;
  const { stdout, stderr } = runHomeScript(script);
  assert.match(stderr, /\/home is also reached at \/run\/old\/home/);
  assert.match(stdout, /alice\nbob\n/);
  assert.match(stdout, /\n0\n$/);
});
purge('after an interruption, another run completes it', () => {
  const script = `fill; mkdir /home/many; (cd /home/many; seq 1 20000 | xargs touch; mkdir d; ln 1 d/hard); move_home >/dev/null; echo x >/home/many/5; rm -r /home/many/d
    for delay in 0.3 0.5 0.8; do home --apply --yes --purge-old-home >/run/said 2>&1 & agent=$!; until grep -q proven /run/said || ! kill -0 $agent; do sleep 0.02; done; sleep $delay; kill -KILL $agent || true; wait $agent || true; done
    home --apply --yes --purge-old-home; mkdir /run/old; mount --bind / /run/old; ls -A /run/old/home | wc -l`;
  assert.match(outputOf(script), /\n0\n$/);
});
purge.run();

const carried = suite('prepare: what a copy of /home would leave out');
carried('a Btrfs subvolume below /home blocks the plan, and is named', () => {
  const script = `mkfs.btrfs -q -f "$volume"; mount "$volume" /home; echo "$volume /home btrfs defaults 0 0" >>/etc/fstab; fill
    btrfs -q subvolume create /home/alice/sub; echo precious >/home/alice/sub/file; cp /etc/fstab /run/fstab
    home --home-device "$disk" && exit 1; move_home && exit 1; cmp /etc/fstab /run/fstab
    btrfs -q subvolume delete /home/alice/sub; move_home; findmnt -n -o FSTYPE /home | tail -n 1`;
  const stdout = outputOf(script);
  assert.match(
    stdout,
    /^blocked +home: [^\n]*\/home\/alice\/sub is a file system of its own[^\n]*btrfs subvolume/m,
  );
  assert.match(stdout, /\nxfs\n$/);
});
carried('attributes of chattr are named before anything is done', () => {
  const script = `fill; echo x >/home/alice/fixed; chattr +i /home/alice/fixed; mkdir /home/log; chattr +a /home/log
    home --home-device "$disk" || true; chattr -i /home/alice/fixed; chattr -a /home/log; home --home-device "$disk" || true`;
  const [before = '', after = ''] = outputOf(script).trimEnd().split('\n');
  assert.match(before, /^needed +home: .*chattr.*\/home\/alice\/fixed \(immutable\)/);
  assert.match(before, /\/home\/log \(append-only\)/);
  assert.not.match(after, /chattr/);
});
carried.run();
