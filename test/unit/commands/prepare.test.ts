import { existsSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Moves } from '../../../agent/prepare/move/record.ts';
import type { SystemWriter } from '../../../agent/system/writer.ts';
import { recordOf } from '../../harness/moves.ts';
import { ordinaryGuest } from '../../harness/ordinary-guest.ts';
import { edited, tree, withBox } from '../../harness/prepare-box.ts';

/** Methods of the writer that change nothing that `--undo` restores. */
const uncounted: ReadonlySet<PropertyKey> = new Set(['labelNewFile', 'lock', 'lastChange']);

/** Returns a writer that fails after a number of calls, as after a power cut. */
function cutOff(writer: SystemWriter, calls: number): SystemWriter {
  let remaining = calls;
  const get = <Key extends keyof SystemWriter>(own: SystemWriter, name: Key): SystemWriter[Key] => {
    if (!uncounted.has(name) && remaining-- <= 0) throw new Error('power cut');
    return own[name];
  };
  return new Proxy(writer, { get });
}

const power = suite('prepare: power cuts');
power('after each change: --undo restores the files, and --apply again completes', async () => {
  let isCut = true;
  for (let calls = 0; isCut; calls++) {
    isCut = false;
    await withBox(ordinaryGuest(), async ({ root, writer, prepare }) => {
      const before = tree(root);
      await prepare({ apply: true, yes: true }, cutOff(writer, calls)).catch((error: unknown) => {
        assert.match((error as Error).message, 'power cut');
        isCut = true;
      });
      // Run undo only after every second cut, so that both undo and another --apply are tested from every kind of
      // state.
      if (calls % 2 === 0) {
        assert.is((await prepare({ undo: true })).code, 0, `undo after ${calls} calls`);
        for (const file of edited) assert.is(tree(root)[file], before[file], `${file} after ${calls} calls`);
      }
      assert.is((await prepare({ apply: true, yes: true })).code, 0, `--apply after ${calls} calls`);
      assert.is((await prepare({ undo: true })).code, 0, `undo of what took two runs (${calls} calls)`);
      for (const file of edited)
        assert.is(tree(root)[file], before[file], `${file}, two runs, ${calls} calls`);
    });
  }
});
power('after each change of --undo: a repetition completes it', async () => {
  let isCut = true;
  for (let calls = 0; isCut; calls++) {
    isCut = false;
    await withBox(ordinaryGuest(), async ({ root, writer, prepare, actionLog }) => {
      const before = tree(root);
      await prepare({ apply: true, yes: true, only: ['tmp', 'mtab', 'fstab'] });
      await prepare({ undo: true }, cutOff(writer, calls)).catch((error: unknown) => {
        assert.match((error as Error).message, 'power cut');
        isCut = true;
      });
      const { code, stdout } = await prepare({ undo: true });
      assert.is(code, 0, `${calls} calls: ${stdout}`);
      for (const file of edited) assert.is(tree(root)[file], before[file], `${file}, ${calls} calls`);
      assert.equal(actionLog(), []);
    });
  }
});
power.run();

const retry = suite('prepare: a task that three boots have not completed');
const marker = 'etc/immutafs/move-at-boot';
const record = '{"schema":1,"moves":[],"cleanVar":true,"restoreFiles":false,"rehearse":null}';
for (const [text, begins] of [
  [record, true],
  [record.replace('true', 'false'), false],
] as const) {
  retry(
    `--apply ${begins ? 'makes the next maintenance boot try again' : 'has nothing to try again'}`,
    () => {
      const guest = ordinaryGuest();
      guest.files['var/lib/immutafs/moves.json'] = text;
      return withBox(guest, async ({ root, prepare }) => {
        await prepare({});
        assert.is(tree(root)[marker], undefined, 'the plan changes nothing');
        await prepare({ apply: true, yes: true });
        assert.is(tree(root)[marker] !== undefined, begins);
      });
    },
  );
}
retry('the plan says that no further boot tries it', () => {
  const guest = ordinaryGuest();
  guest.files['var/lib/immutafs/moves.json'] = recordOf('/var/lib/app', 'a', {
    phase: 'planned',
    task: 'move',
  });
  return withBox(guest, async ({ prepare }) => {
    assert.match((await prepare({})).stdout, /No\s+further\s+boot\s+tries\s+this[^]*prepare\s+--apply/);
    const { stdout } = await prepare({ apply: true, yes: true });
    const retried = stdout.slice(stdout.lastIndexOf(' state '));
    assert.match(retried, '/var/lib/app moves to');
    assert.not.match(retried, /further\s+boot/);
  });
});
retry.run();

const reboot = suite('prepare --undo --reboot');
for (const [what, fs, phase, wanted] of [
  ['reboots for the way back', '/dev/mapper/rhel-home', 'moved', { code: 0, reboots: 1, task: 'return' }],
  ['does not reboot if the way back is blocked', 'absent', 'moved', { code: 1, reboots: 0, task: 'purge' }],
  ['does not reboot if nothing was moved', 'absent', 'planned', { code: 0, reboots: 0, task: undefined }],
] as const) {
  reboot(what, () => {
    const guest = ordinaryGuest();
    guest.files['var/lib/immutafs/moves.json'] = recordOf('/home', fs, { phase, task: 'purge' });
    return withBox(guest, async ({ at, read, writer, prepare }) => {
      let reboots = 0;
      const run: SystemWriter['run'] = (program, args) => {
        if (program.endsWith('/systemctl') && args.includes('reboot')) reboots += 1;
        return Promise.resolve({ exit: 0, stdout: '', stderr: '', late: false });
      };
      const { code, stdout } = await prepare({ undo: true, reboot: true }, { ...writer, run });
      const file = 'var/lib/immutafs/moves.json';
      const record = existsSync(at(file)) ? (JSON.parse(read(file)) as Moves) : undefined;
      assert.equal({ code, reboots, task: record?.moves[0]?.task }, wanted, stdout);
    });
  });
}
reboot.run();
