import { HostError, errorMessage } from '../../lib/errors.ts';
import type { SystemWriter } from '../../system/writer.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Doing } from './context.ts';
import { moveHome, purgeHome } from '../home/move.ts';
import { beginEntry } from './action-log.ts';
import type { Action, Step, StepId } from './step.ts';

type Of<Kind extends Action['do']> = Extract<Action, { do: Kind }>;

const executors: { [Kind in Action['do']]: (doing: Doing, action: Of<Kind>) => void | Promise<void> } = {
  edit: ({ writer, reader }, { file, before, after }) => {
    if (textOf(reader, file) !== before) throw new HostError(`${file} has changed since it was looked at`);
    writer.replaceText(file, after);
  },
  link: ({ writer }, { file, to }) => writer.replaceByLink(file, to),
  remove: ({ writer }, { file }) => writer.remove(file),
  run: async ({ run }, { program, args, seconds }) => {
    await run(program, args, { seconds });
  },
  rename: ({ writer }, { from, to }) => writer.rename(from, to),
  'move-home': moveHome,
  'purge-home': purgeHome,
};

/** What people get to see while it is done. */
export type Voice = Pick<Doing, 'say' | 'progress'>;

/**
 * Does what a step needs, each action noted before and after.
 * @throws HostError where one did not succeed; what is left is found when it is planned again
 */
export async function apply(
  reader: SystemReader,
  writer: SystemWriter,
  step: Step,
  voice: Voice,
): Promise<void> {
  const doing = doingOf(reader, writer, step.id, voice);
  for (const action of step.actions) {
    await noted(reader, writer, step.id, action, () => execute(doing, action));
  }
}

async function noted(
  reader: SystemReader,
  writer: SystemWriter,
  step: StepId,
  action: Action,
  act: () => void | Promise<void>,
): Promise<void> {
  const end = beginEntry(reader, writer, step, action);
  try {
    await act();
  } catch (error) {
    end(errorMessage(error));
    throw error;
  }
  end(null);
}

/** The table is indexed by what the action itself says it is. */
function execute<Kind extends Action['do']>(doing: Doing, action: Of<Kind>): void | Promise<void> {
  const executor = executors[action.do];
  return executor(doing, action);
}

function doingOf(reader: SystemReader, writer: SystemWriter, step: StepId, voice: Voice): Doing {
  const doing: Doing = {
    reader,
    writer,
    ...voice,
    edit: async (file, before, after) => {
      const action = { do: 'edit', file, before, after } as const;
      await noted(reader, writer, step, action, () => executors.edit(doing, action));
    },
    run: async (program, args, { seconds, output }) => {
      const ran = await writer.run(program, args, seconds, output);
      if (ran.exit === 0) return ran;
      const command = [program, ...args].join(' ');
      const how = ran.late ? `did not end within ${seconds} s` : `ended with ${ran.exit ?? 'a signal'}`;
      const last = ran.stderr.trim().split('\n').slice(-3).join('; ');
      throw new HostError(`${command} ${how}${last === '' ? '' : `: ${last}`}`);
    },
  };
  return doing;
}

/** One character a byte; null where nothing is there. */
function textOf(reader: SystemReader, file: string): string | null {
  return reader.stat(file) === undefined ? null : reader.read(file);
}
