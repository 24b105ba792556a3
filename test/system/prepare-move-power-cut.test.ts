/**
 * Tests that the power can be cut at each point of a boot that moves state, moves it back, or removes its old content: a boot
 * then finds all of the content, and the next boot that moves completes the task or returns.
 */
import { suite } from 'uvu';
import { statePoints as points } from '../harness/move-points.ts';
import { atEachPoint } from '../harness/move-state.ts';

const cuts = suite('moves of state: power cuts');
for (const types of [
  { type: 'ext4', systemType: 'xfs' },
  { type: 'xfs', systemType: 'ext4' },
]) {
  const title = `${types.systemType} to ${types.type}`;
  // Each round tests a point of the move and a point of the way back. The last point of the way back is tested twice.
  cuts(`move and move back, ${title}`, () =>
    atEachPoint(points.move, types, (point, index) => {
      const back = points.return[Math.min(index, points.return.length - 1)] ?? '';
      return `quiet move; boot ${point} KILL; whole; use "${point}"; boot; whole; mounts; use after
        quiet agent prepare --undo; boot ${back} KILL; whole; use "${back}"; boot; whole; mounts && exit 1
        below test ! -e moved-by-immutafs-agent; ls -A /var/lib | grep immutafs- && exit 1; test ! -e /var/lib/immutafs/moves.json`;
    }),
  );
  cuts(`removal of the old content, ${title}`, () =>
    atEachPoint(
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
