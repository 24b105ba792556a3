import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { SystemWriter } from '../../../agent/system/writer.ts';
import { ordinaryGuest } from '../../harness/ordinary-guest.ts';
import { edited, tree, withBox } from '../../harness/prepare-box.ts';
/** Hands that stop for good after so many acts. */
function dyingHands(writer: SystemWriter, acts: number): SystemWriter {
  let left = acts;
  const dying =
    <Arguments extends unknown[], Result>(act: (...all: Arguments) => Result) =>
    (...all: Arguments): Result => {
      left -= 1;
      if (left < 0) throw new Error('power cut');
      return act(...all);
    };
  return {
    writeAtomically: dying(writer.writeAtomically),
    replaceText: dying(writer.replaceText),
    replaceByLink: dying(writer.replaceByLink),
    copyInto: dying(writer.copyInto),
    remove: dying(writer.remove),
    rename: dying(writer.rename),
    makeFolder: dying(writer.makeFolder),
    run: dying(writer.run),
    writeAt: dying(writer.writeAt),
    lock: writer.lock,
    readTree: dying(writer.readTree),
    removeTree: dying(writer.removeTree),
    lastChange: writer.lastChange,
  };
}

const power = suite('interrupted anywhere');
power('after each act: it can be undone, and --apply again completes', async () => {
  let died = true;
  for (let acts = 0; died; acts++) {
    died = false;
    await withBox(ordinaryGuest(), async ({ root, writer, prepare }) => {
      const before = tree(root);
      await prepare({ apply: true, yes: true }, dyingHands(writer, acts)).catch((error: unknown) => {
        assert.match((error as Error).message, 'power cut');
        died = true;
      });
      // Every other time, so that both are tried from every kind of state.
      if (acts % 2 === 0) {
        assert.is((await prepare({ undo: true })).code, 0, `undo after ${acts} acts`);
        for (const file of edited) assert.is(tree(root)[file], before[file], `${file} after ${acts} acts`);
      }
      assert.is((await prepare({ apply: true, yes: true })).code, 0, `--apply after ${acts} acts`);
      assert.is((await prepare({ undo: true })).code, 0, `undo of what took two runs (${acts} acts)`);
      for (const file of edited) assert.is(tree(root)[file], before[file], `${file}, two runs, ${acts} acts`);
    });
  }
});
power.run();
