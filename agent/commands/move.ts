import { SystemError, UsageError, errorMessage } from '../lib/errors.ts';
import { clean, decodeBytes } from '../lib/format.ts';
import { readBootEnv } from '../facts/boot/boot-env.ts';
import { planGuest, runMoves } from '../prepare/prepare.ts';
import { noSettings } from '../prepare/engine/step.ts';
import { type Log, openJournal, priority } from '../system/log.ts';
import type { SystemReader } from '../system/reader.ts';
import type { SystemWriter } from '../system/writer.ts';
import type { Output } from './output.ts';

/** MESSAGE_ID of what a boot that moves reports. */
const messageId = '6f2dfd6f50bd4c0d9bb1e0f7a0f2d7a1';

/**
 * `move-at-boot`: carries out the recorded tasks (immutafs-move.service), in a maintenance boot only.
 * @returns the exit code: 0 if everything succeeded, otherwise 1
 */
export async function moveCommand(
  reader: SystemReader,
  writer: SystemWriter,
  output: Output,
  openLog: () => Promise<Log> = openJournal,
): Promise<number> {
  const mode = readBootEnv(reader)?.mode;
  // The device decides, and the record of the boot, which is missing if the initramfs has no hook yet: the marker could have
  // been made by any program.
  const { refused } = await planGuest(reader, noSettings, new Set());
  if (refused !== null) throw new SystemError(refused);
  if (mode !== undefined && mode !== 'maintenance') throw new UsageError('this is not a maintenance boot');
  const log = await openLog();
  const tools = {
    ...{ reader, writer },
    say: (text: string) => {
      output.stdout(`immutafs: ${clean(decodeBytes(text))}\n`);
      log(priority.notice, decodeBytes(text), { MESSAGE_ID: messageId });
    },
    progress: (text: string) => output.stdout(`immutafs: ${clean(decodeBytes(text))}\n`),
  };
  try {
    return (await runMoves(tools)) ? 0 : 1;
  } catch (error) {
    tools.say(`The move failed: ${errorMessage(error)}`);
    throw error;
  }
}
