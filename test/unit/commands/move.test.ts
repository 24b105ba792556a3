/** Tests in which boots `move-at-boot` carries out what is recorded. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { moveCommand } from '../../../agent/commands/move.ts';
import { errorMessage } from '../../../agent/lib/errors.ts';
import { systemWriter } from '../../../agent/system/writer.ts';
import { type Guest, bootEnv, goodGuest, rehearsalGuest, withGuest } from '../../harness/guest.ts';
import { ordinaryGuest } from '../../harness/ordinary-guest.ts';

const marker = 'etc/immutafs/move-at-boot';
/** A record without a task, which a boot completes by removing the marker. */
const record = '{"schema":1,"moves":[],"cleanVar":false,"restoreFiles":false,"rehearse":null}';

/** Returns the exit code or the error, and whether the marker is still there. */
async function runIn(guest: Guest): Promise<[result: number | string, isMarked: boolean]> {
  Object.assign(guest.files, { [marker]: '1\n', 'var/lib/immutafs/moves.json': record });
  let result: number | string = '';
  let isMarked = true;
  await withGuest(guest, async (reader, root) => {
    const output = { stdout: () => undefined, stderr: () => undefined, terminal: false };
    const log = () => Promise.resolve(() => undefined);
    result = await moveCommand(reader, systemWriter(root), output, log).catch(errorMessage);
    isMarked = existsSync(path.join(root, marker));
  });
  return [result, isMarked];
}

/** Returns an ordinary guest with another record of the boot, or without one. */
function withRecord(text: string | undefined): Guest {
  const guest = ordinaryGuest();
  if (text === undefined) delete guest.files['run/immutafs/boot.env'];
  else guest.files['run/immutafs/boot.env'] = text;
  return guest;
}

/** A sealed guest of which the boot recorded maintenance. */
function forged(): Guest {
  const guest = goodGuest();
  guest.files['run/immutafs/boot.env'] = bootEnv({ MODE: 'maintenance', DISKS: 'vda:0:none', VAR: 'disk' });
  return guest;
}

const boots: Record<string, [guest: Guest, result: number | RegExp]> = {
  'a maintenance boot': [ordinaryGuest(), 0],
  'a boot whose initramfs has no hook yet: the disk decides': [withRecord(undefined), 0],
  'a sealed boot': [goodGuest(), /is sealed: disk vda is read-only/],
  'a sealed boot with the record of a maintenance boot': [forged(), /is sealed: disk vda is read-only/],
  'a rehearsal': [rehearsalGuest(), /is a rehearsal/],
  'immutafs=off': [
    withRecord(bootEnv({ MODE: 'off', DISKS: 'vda:0:none', VAR: 'disk' })),
    /not a maintenance/,
  ],
};

const move = suite('move-at-boot');
for (const [title, [guest, expected]] of Object.entries(boots)) {
  move(title, async () => {
    const [result, isMarked] = await runIn(guest);
    if (typeof expected === 'number') assert.equal([result, isMarked], [expected, false]);
    else {
      assert.match(String(result), expected);
      assert.ok(isMarked, 'nothing was carried out');
    }
  });
}
move.run();
