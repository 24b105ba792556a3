import path from 'node:path';
import { SystemError, errorMessage } from '../../lib/errors.ts';
import { logAction } from './action-log.ts';
import { type ActionOf, type Context, type Executors, type Tools, contextOf } from './context.ts';
import { textBefore } from './part.ts';
import { type Planners, plan } from './plan.ts';
import { type Action, type Settings, type Step, type StepId, stepIds } from './step.ts';

export interface Parts {
  planners: Planners;
  executors: Executors;
}

/**
 * Carries out the chosen steps in order. Each step is planned after the steps before it have run, and again after it
 * has run. The caller holds the lock.
 * @throws SystemError if an action fails; the actions and steps after it are then not carried out
 */
export async function applyAll(
  { planners, executors }: Parts,
  tools: Tools,
  settings: Settings,
  chosen: ReadonlySet<StepId>,
): Promise<void> {
  const { reader, say } = tools;
  const planOne = async (id: StepId) =>
    (await plan(planners, reader, settings, chosen, new Set([id]))).steps[0];
  for (const id of stepIds.filter((each) => chosen.has(each))) {
    const step = await planOne(id);
    if (step?.state !== 'needed') continue;
    say(`${id}: ${step.why.join(' ')}`);
    await apply(executors, tools, step);
    if ((await planOne(id))?.state === 'needed')
      say(`${id} was carried out, but the step is still needed: run \`immutafs-agent prepare\` to see why.`);
  }
}

/**
 * Carries out the actions of a step, and logs each action before it begins and when it has ended.
 * @throws SystemError if an action fails; the next plan contains the remaining actions
 */
export async function apply(executors: Executors, tools: Tools, { id, actions }: Step): Promise<void> {
  const context = contextOf(tools);
  for (const action of actions) await perform(context, executors, id, action);
}

/** Carries out one action. The type parameter ensures that the executor matches the kind of the action. */
async function perform<Kind extends Action['do']>(
  context: Context,
  executors: Executors,
  step: StepId,
  action: ActionOf<Kind>,
): Promise<void> {
  const { execute } = executors[action.do];
  const end = logAction(context, step, action);
  try {
    await execute(context, action);
  } catch (error) {
    end(errorMessage(error));
    throw error;
  }
  end(null);
}

export const basicExecutors: Pick<Executors, 'edit' | 'link' | 'remove' | 'run' | 'rename' | 'erase'> = {
  edit: {
    execute: ({ writer, reader }, { file, before, after }) => {
      if (textBefore(reader, file) !== before)
        throw new SystemError(`${file} was changed after the plan was made: run prepare again`);
      if (before === null) writer.makeDirectory(path.dirname(file), 0o755);
      writer.replaceText(file, after);
    },
  },
  link: { execute: ({ writer }, { file, to }) => writer.replaceByLink(file, to) },
  remove: { execute: ({ writer }, { file }) => writer.remove(file) },
  run: {
    execute: async ({ run, reader, writer }, { program, args, seconds, makes = [] }) => {
      await run(program, args, { seconds });
      for (const file of makes) if (reader.stat(file) !== undefined) writer.labelNewFile(file);
    },
  },
  rename: { execute: ({ writer }, { from, to }) => writer.rename(from, to) },
  erase: {
    execute: ({ reader, writer }, { files }) => {
      for (const file of files) if (reader.stat(file) !== undefined) writer.remove(file);
    },
  },
};
