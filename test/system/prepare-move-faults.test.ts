/**
 * Tests that any operation can fail at each point of a boot that moves state or moves it back: the services find all of the
 * content, nothing incomplete is left, and the next attempt succeeds.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { statePoints as points } from '../harness/move-points.ts';
import { atEachPoint, moveOutput } from '../harness/move-state.ts';

const faults = suite('moves of state: a failure at each point');
faults('of a move: the old content is in use, nothing is left, and the next attempt succeeds', () =>
  atEachPoint(
    points.move.slice(1, -1),
    { type: 'xfs' },
    (
      point,
    ) => `quiet move; boot ${point} EIO; grep 'was not moved: injected: EIO' /run/said; whole; mounts && exit 1; test ! -e "$kept"; test ! -e "$marker"
        ls -A /var/lib | grep immutafs- && exit 1; below test ! -e moved-by-immutafs-agent
        grep "^PERSIST=." /etc/immutafs/immutafs.conf && exit 1; use "${point}"; quiet move; boot; whole; mounts; quiet agent prepare --undo; boot; whole; mounts && exit 1`,
  ),
);
faults('of moving back: the new content is in use, and the next attempt succeeds', () =>
  atEachPoint(
    points.return.slice(1, -2),
    { type: 'ext4' },
    (
      point,
    ) => `quiet move; boot; quiet agent prepare --undo; boot ${point} EIO; grep 'was not moved back: injected: EIO' /run/said; whole; mounts; test ! -e "$marker"
        below test -e moved-by-immutafs-agent/content/alice; use "${point}"; quiet agent prepare --undo; boot; whole; mounts && exit 1`,
  ),
);
faults('the store fails while it is written: the old content is in use', () => {
  const stdout =
    moveOutput(`head -c 150000000 /dev/urandom >"$app/much"; picture "$app" >/run/before; umount /data
    mount -t tmpfs -o size=120m x /srv; truncate -s 400m /srv/image; broken=$(losetup -f --show /srv/image); exec 7<"$broken"; losetup -d "$broken"
    mkfs.xfs -q -f "$broken"; mount -o nosuid,nodev "$broken" /data; sed -i "s,^$disk,$broken," /etc/fstab
    move >/dev/null || true; boot; cat /run/said; whole; mounts && exit 1; grep -c '^PERSIST=.' /etc/immutafs/immutafs.conf || true`);
  assert.match(stdout, /was not moved: [^]*\n0\n$/);
});
faults.run();
