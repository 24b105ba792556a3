import { SystemError, errorMessage } from '../../lib/errors.ts';
import type { SystemWriter } from '../../system/writer.ts';
import type { SystemReader } from '../../system/reader.ts';
import { imageLockFile, lockFile, logAction } from './action-log.ts';
import {
  type ActionOf,
  type Context,
  type Executors,
  type Printer,
  PlanOutdated,
  withContext,
} from './context.ts';
import { type Plan, type Planners, plan } from './plan.ts';
import { type Action, type Settings, type Step, type StepId, stepIds } from './step.ts';

/** The planner of each step, and the executor of each kind of action. */
export interface Parts {
  planners: Planners;
  executors: Executors;
}

/**
 * Carries out the chosen steps in order. Each step is planned after the steps before it have run, and again after it
 * has run.
 * @returns a plan with the remaining changes
 * @throws SystemError if an action fails; the actions and steps after it are then not carried out
 */
export async function applyAll(
  { planners, executors }: Parts,
  reader: SystemReader,
  writer: SystemWriter,
  settings: Settings,
  chosen: ReadonlySet<StepId>,
  printer: Printer,
): Promise<Plan> {
  const planOne = async (id: StepId) =>
    (await plan(planners, reader, settings, chosen, new Set([id]))).steps[0];
  const unlock = writer.lock(reader.image === undefined ? lockFile : imageLockFile);
  try {
    for (const id of stepIds.filter((each) => chosen.has(each))) {
      let isDone = false;
      for (let attempt = 1; !isDone; attempt++) {
        const step = await planOne(id);
        if (step?.state !== 'needed') break;
        printer.say(`${id}: ${step.why.join(' ')}`);
        isDone = await applyStep(executors, reader, writer, step, printer, attempt === 1);
      }
      if (isDone && (await planOne(id))?.state === 'needed') {
        printer.say(`${id} was carried out, but the step is still needed.`);
      }
    }
  } finally {
    unlock();
  }
  return plan(planners, reader, settings, chosen);
}

/** Carries out a step. @returns false if the step must be planned again */
async function applyStep(
  executors: Executors,
  reader: SystemReader,
  writer: SystemWriter,
  step: Step,
  printer: Printer,
  mayPlanAgain: boolean,
): Promise<boolean> {
  try {
    await apply(executors, reader, writer, step, printer);
    return true;
  } catch (error) {
    if (!(error instanceof PlanOutdated) || !mayPlanAgain) throw error;
    printer.say(error.message);
    return false;
  }
}

/**
 * Carries out the actions of a step, and logs each action before it begins and when it has ended.
 * @throws SystemError if an action fails; the next plan contains the remaining actions
 */
export async function apply(
  executors: Executors,
  reader: SystemReader,
  writer: SystemWriter,
  step: Step,
  printer: Printer,
): Promise<void> {
  await withContext(reader, writer, printer, async (context) => {
    for (const action of step.actions) await perform(context, executors, step.id, action);
  });
}

/** Carries out one action. The type parameter ensures that the executor matches the kind of the action. */
async function perform<Kind extends Action['do']>(
  context: Context,
  executors: Executors,
  step: StepId,
  planned: ActionOf<Kind>,
): Promise<void> {
  const { complete, execute } = executors[planned.do];
  const action = complete === undefined ? planned : await complete(context, planned);
  const end = logAction(context.reader, context.writer, step, action);
  try {
    await execute(context, action);
  } catch (error) {
    end(errorMessage(error));
    throw error;
  }
  end(null);
}

/** Executors of the kinds of actions that any step can use. */
export const basicExecutors: Pick<Executors, 'edit' | 'link' | 'remove' | 'run' | 'rename' | 'erase'> = {
  edit: {
    execute: ({ writer, reader }, { file, before, after }) => {
      const now = reader.stat(file) === undefined ? null : reader.read(file);
      if (now !== before)
        throw new SystemError(`${file} was changed after the plan was made: run prepare again`);
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
