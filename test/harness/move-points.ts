import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { moveOutput } from './move-state.ts';

/** The points of a move in their order: when, and the program that is called there. */
export const movePoints: readonly string[] = [
  'after ^rsync .*--info',
  'after ^mount --bind .*/frozen /var/lib/app',
  'before ^rsync .*--dry-run',
  'before ^mv -T .*seeding',
  'after ^mv -T .*seeding',
  'after ^umount --lazy /var/lib/app',
  'after ^persist-directory mount',
  'before ^mv -n',
  'after ^mv -n',
];

/** The points of --undo, in their order. */
export const undoPoints: readonly string[] = [
  'after ^rsync .*--info',
  'after ^mount -o remount,bind,ro',
  'before ^mv -n .*uncovered/var/lib/app --',
  'after ^mv -n .*uncovered/var/lib/app --',
  'after ^mv -T .*seeding',
  'after ^umount /var/lib/app',
];

const quoted = (point: string) => `'${point.split(' ')[0]}' '${point.split(' ').slice(1).join(' ')}'`;

/** Runs the lines for each point one after the other, in one system. `quiet` prints the output of a command that fails. */
export function atEach(list: readonly string[], lines: (point: string, index: number) => string): void {
  const script = list.map((point, index) => `${lines(quoted(point), index)}\necho "passed ${index}"`);
  const stdout = moveOutput(
    `points; quiet() { "$@" >/run/said 2>&1 || { cat /run/said; exit 1; }; }\n${script.join('\n')}`,
    400,
    540_000,
  );
  assert.match(stdout, new RegExp(`passed ${list.length - 1}\n$`));
}

/**
 * Ends a move and its --undo with SIGKILL at each point, and continues them.
 * @param end lines that run when the process was killed
 */
export function testKills(title: string, end: string): void {
  const move = suite(`prepare --move-state: ${title}`);
  move('at each point of a move, the content is complete, and the next run completes it', () =>
    atEach(
      movePoints,
      (point, index) => `ended_at KILL ${point} move; ${end}
        whole; use ${index}; quiet move; whole; mounts; use after-${index}; reboot; whole; mounts; reset`,
    ),
  );
  move('at each point of --undo, the content is complete, and the next run completes it', () =>
    atEach(
      undoPoints,
      (point, index) => `quiet move; use before-${index}; ended_at KILL ${point} agent prepare --undo; ${end}
        whole; use ${index}; quiet agent prepare --undo; whole; mounts && exit 1
        below test ! -e moved-by-immutafs-agent; reboot; whole`,
    ),
  );
  move.run();
}
