/** Tests that `prepare --undo` restores files byte for byte in which moves and other steps have changed lines. */
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { nameNewPlace, nameOldPlace } from '../../../../agent/prepare/at-boot/config.ts';
import { apply, basicExecutors } from '../../../../agent/prepare/engine/apply.ts';
import type { Executors, Tools } from '../../../../agent/prepare/engine/context.ts';
import { undo } from '../../../../agent/prepare/engine/undo.ts';
import type { Move } from '../../../../agent/prepare/move/record.ts';
import { type SystemWriter, systemWriter } from '../../../../agent/system/writer.ts';
import { withGuest } from '../../../harness/guest.ts';
import { recordOf } from '../../../harness/moves.ts';
import { ordinaryGuest } from '../../../harness/ordinary-guest.ts';

const [conf, fstab] = ['/etc/immutafs/immutafs.conf', '/etc/fstab'] as const;
const delivered = '# caf\xe9\n#PERSIST=\nPERSIST_STORE=/data/store\n';

/** What changes a file: a step of prepare, an administrator, or a move. */
type Change = { by: 'prepare' | 'administrator'; edit: (text: string) => string } | { by: string };
const step = (edit: (text: string) => string): Change => ({ by: 'prepare', edit });
const administrator = (edit: (text: string) => string): Change => ({ by: 'administrator', edit });
const moveOf = (directory: string): Change => ({ by: directory });

const overlay = step((text) => `${text}OVERLAY=/opt/x\n`);
const options = step((text) => text.replace('OVERLAY=/opt/x', 'OVERLAY=/opt/x /opt/y'));
const remark = administrator((text) => `${text}# mine\n`);
const readOnly = step((text) => text.replace(/(rhel-root\s+\/\s+xfs\s+)defaults/, '$1ro'));
const [a, b, home] = [moveOf('/var/lib/a'), moveOf('/var/lib/b'), moveOf('/home')];

interface Box {
  tools: Tools;
  text: () => string;
  said: string[];
}

/** Makes the changes of a file, one after the other, and gives the moves. */
async function after(
  file: string,
  changes: readonly Change[],
  check: (box: Box, moves: Move[], original: string) => void,
): Promise<void> {
  await withGuest(ordinaryGuest(), async (reader, root) => {
    const at = path.join(root, file);
    const text = () => fs.readFileSync(at, 'latin1');
    for (const folder of ['var/lib/immutafs', 'run/immutafs'])
      fs.mkdirSync(path.join(root, folder), { recursive: true });
    if (file === conf) fs.writeFileSync(at, delivered, 'latin1');
    const original = text();
    const said: string[] = [];
    const tools: Tools = {
      ...{ reader, writer: systemWriter(root, false) },
      say: (sentence) => void said.push(sentence),
      progress: () => undefined,
    };
    const moves: Move[] = [];
    for (const change of changes) {
      const before = text();
      if (!('edit' in change)) {
        const { moves: list } = JSON.parse(recordOf(change.by, 'uuid-1', { file })) as { moves: Move[] };
        for (const move of list) nameNewPlace(tools, move, () => undefined);
        moves.push(...list);
      } else if (change.by === 'administrator') fs.writeFileSync(at, change.edit(before), 'latin1');
      else {
        const action = { do: 'edit', file, before, after: change.edit(before) } as const;
        assert.is.not(action.after, before);
        const planned = { id: 'fstab', state: 'needed', why: [], actions: [action] } as const;
        await apply(basicExecutors as Executors, tools, { ...planned, why: [], actions: [action] });
      }
    }
    check({ tools, text, said }, moves, original);
  });
}

/** Returns moves in an order. @param save is called when another move is changed */
function giveBack(tools: Tools, moves: readonly Move[], save: () => void = () => undefined): void {
  for (const move of moves) {
    const others = moves.filter((each) => each !== move);
    nameOldPlace(tools, { move, others, save });
  }
}

const orders: Record<string, (moves: Move[]) => Move[]> = {
  'in reverse order': (moves) => moves.toReversed(),
  'in their order': (moves) => moves,
};
const restored: Record<string, [file: string, ...changes: Change[]]> = {
  'a move of /home, then ro': [fstab, home, readOnly],
  'a move of state, then an edit': [conf, a, overlay],
  'an edit, a move of state, another edit': [conf, overlay, a, options],
  'an edit, then two moves': [conf, overlay, a, b],
  'edits before, between and after two moves': [
    ...([conf, overlay, a, options, b] as const),
    step((text) => text.replace('#PERSIST', '# PERSIST')),
  ],
  'edits that revert each other': [conf, a, overlay, step((text) => text.replace('OVERLAY=/opt/x\n', ''))],
};
const undoing = suite('prepare --undo: files that moves and steps have changed');
for (const [title, [file, ...changes]] of Object.entries(restored)) {
  for (const [order, sort] of Object.entries(orders)) {
    undoing(`${title}, ${order}: the file is as it was before`, () =>
      after(file, changes, ({ tools, text, said }, moves, original) => {
        giveBack(tools, sort(moves));
        assert.ok(undo(tools), said.join('\n'));
        assert.is(text(), original);
      }),
    );
  }
}

const kept: Record<string, [file: string, ...changes: Change[]]> = {
  'after the move': [fstab, home, remark],
  'between the move and a step': [fstab, home, remark, readOnly],
  'after the step': [fstab, home, readOnly, remark],
  'of the configuration, after a step': [conf, overlay, a, b, options, remark],
};
for (const [title, [file, ...changes]] of Object.entries(kept)) {
  undoing(
    `an edit of an administrator ${title}: it is kept, and named unless nothing was logged before`,
    () =>
      after(file, changes, ({ tools, text, said }, moves) => {
        giveBack(tools, moves.toReversed());
        const isRestored = undo(tools);
        assert.match(text(), /^# mine$/m);
        assert.not.match(text(), /^(UUID=uuid-1|PERSIST=.+)/m);
        // The step after this edit is undone without it.
        const isNamed = said.some((each) => each.startsWith(`${file}: kept, because it was changed after`));
        assert.is(isNamed, !isRestored);
        assert.is(isNamed, changes.indexOf(remark) === changes.length - 1 && changes.length > 2);
      }),
  );
}

undoing('a failure at any write: a repetition completes it', async () => {
  const changes = [overlay, a, options, b];
  const state = { isCut: true };
  let writes = 0;
  for (; state.isCut; writes += 1) {
    await after(conf, changes, ({ tools, text, said }, moves, original) => {
      state.isCut = false;
      let left = writes;
      const writer: SystemWriter = {
        ...tools.writer,
        replaceText: (...args) => {
          if (left === 0) state.isCut = true;
          left -= 1;
          if (state.isCut) throw new Error('cut');
          tools.writer.replaceText(...args);
        },
      };
      // The record is on the disk only after it was saved.
      let record = JSON.stringify(moves);
      const save = () => void (record = JSON.stringify(moves));
      try {
        giveBack({ ...tools, writer }, moves, save);
        save();
      } catch (error) {
        assert.is((error as Error).message, 'cut');
      }
      giveBack(tools, JSON.parse(record) as Move[]);
      assert.ok(undo(tools), `${writes}: ${said.join('\n')}`);
      assert.is(text(), original);
    });
  }
  assert.ok(writes > 4, String(writes));
});
undoing.run();
