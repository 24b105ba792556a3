/**
 * Tests that the power can be cut, and that any operation can fail, at each point of a boot that moves state, moves it back, or
 * removes its old content: a boot then finds all of the content, and the next boot that moves completes the task or returns.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { statePoints as points } from '../harness/move-points.ts';
import { moveOutput } from '../harness/move-state.ts';

const quiet = 'quiet() { "$@" >/run/said 2>&1 || [ -e "$marker" ] || { cat /run/said; exit 1; }; }';

/** Runs lines of sh for each point, one after the other in one system. */
function atEach(list: readonly string[], types: object, lines: (point: string) => string): void {
  const script = list.map((point) => `${lines(point)}; echo "passed ${point}"`).join('\n');
  const stdout = moveOutput(`${quiet}\n${script}`, { ...types, timeout: 540_000 });
  assert.equal([...(stdout.match(/(?<=^passed ).*$/gm) ?? [])], list, stdout);
}

const cuts = suite('moves of state: power cuts');
for (const types of [
  { type: 'ext4', systemType: 'xfs' },
  { type: 'xfs', systemType: 'ext4' },
]) {
  const title = `${types.systemType} to ${types.type}`;
  cuts(`move, ${title}`, () =>
    atEach(
      points.move,
      types,
      (point) => `quiet move; boot ${point} KILL; whole; use "${point}"; boot; whole; mounts; use after
        quiet agent prepare --undo; boot; whole; mounts && exit 1`,
    ),
  );
  cuts(`move back, ${title}`, () =>
    atEach(
      points.return,
      types,
      (
        point,
      ) => `quiet move; boot; use before; quiet agent prepare --undo; boot ${point} KILL; whole; use "${point}"; boot; whole; mounts && exit 1
        below test ! -e moved-by-immutafs-agent; ls -A /var/lib | grep immutafs- && exit 1; test ! -e /var/lib/immutafs/moves.json`,
    ),
  );
  cuts(`removal of the old content, ${title}`, () =>
    atEach(
      points.purge,
      types,
      (
        point,
      ) => `quiet move; boot; quiet prepare --apply --yes --purge-old-state; boot ${point} KILL; whole; boot; whole
        below test ! -e moved-by-immutafs-agent/content/alice; quiet agent prepare --undo; boot; whole`,
    ),
  );
}
cuts.run();

const faults = suite('moves of state: a failure at each point');
faults('of a move: the old content is in use, nothing is left, and the next attempt succeeds', () =>
  atEach(
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
  atEach(
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
