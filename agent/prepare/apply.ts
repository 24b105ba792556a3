import { HostError, errorMessage } from '../errors.ts';
import type { Hands } from '../host/hands.ts';
import type { Host } from '../host.ts';
import type { Doing } from './doing.ts';
import { moveHome, purgeHome } from './home/move.ts';
import { beginEntry } from './journal.ts';
import type { Action, Step, StepId } from './step.ts';

type Of<Kind extends Action['do']> = Extract<Action, { do: Kind }>;

const executors: { [Kind in Action['do']]: (doing: Doing, action: Of<Kind>) => void | Promise<void> } = {
  edit: ({ hands, host }, { file, before, after }) => {
    if (textOf(host, file) !== before) throw new HostError(`${file} has changed since it was looked at`);
    hands.replaceText(file, after);
  },
  link: ({ hands }, { file, to }) => hands.replaceByLink(file, to),
  remove: ({ hands }, { file }) => hands.remove(file),
  run: async ({ run }, { program, args, seconds }) => {
    await run(program, args, { seconds });
  },
  rename: ({ hands }, { from, to }) => hands.rename(from, to),
  'move-home': moveHome,
  'purge-home': purgeHome,
};

/** What people get to see while it is done. */
export type Voice = Pick<Doing, 'say' | 'progress'>;

/**
 * Does what a step needs, each action noted before and after.
 * @throws HostError where one did not succeed; what is left is found when it is planned again
 */
export async function apply(host: Host, hands: Hands, step: Step, voice: Voice): Promise<void> {
  const doing = doingOf(host, hands, step.id, voice);
  for (const action of step.actions) {
    await noted(host, hands, step.id, action, () => execute(doing, action));
  }
}

async function noted(
  host: Host,
  hands: Hands,
  step: StepId,
  action: Action,
  act: () => void | Promise<void>,
): Promise<void> {
  const end = beginEntry(host, hands, step, action);
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

function doingOf(host: Host, hands: Hands, step: StepId, voice: Voice): Doing {
  const doing: Doing = {
    host,
    hands,
    ...voice,
    edit: async (file, before, after) => {
      const action = { do: 'edit', file, before, after } as const;
      await noted(host, hands, step, action, () => executors.edit(doing, action));
    },
    run: async (program, args, { seconds, output }) => {
      const ran = await hands.run(program, args, seconds, output);
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
function textOf(host: Host, file: string): string | null {
  return host.stat(file) === undefined ? null : host.read(file);
}
