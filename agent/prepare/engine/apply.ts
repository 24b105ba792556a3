import { clean, decodeBytes } from '../../lib/format.ts';
import type { SystemWriter } from '../../system/writer.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type Voice, apply } from './execute.ts';
import { type Plan, plan } from './plan.ts';
import { type Settings, type StepId, stepIds } from './step.ts';

interface Screen {
  stdout: (text: string) => void;
  terminal: boolean;
}

/** Held by whatever changes this guest: --apply with its purge, and --undo. */
export const lockFile = '/run/immutafs/prepare.lock';

/**
 * Does what is needed, step by step, each planned when those before it are done, and again afterwards.
 * @returns the plan that is left
 * @throws HostError where an action did not succeed: the steps after it are not done
 */
export async function applyAll(
  reader: SystemReader,
  writer: SystemWriter,
  settings: Settings,
  chosen: ReadonlySet<StepId>,
  screen: Screen,
): Promise<Plan> {
  const unlock = writer.lock(lockFile);
  const voice = voiceOn(screen);
  try {
    for (const id of stepIds.filter((each) => chosen.has(each))) {
      const step = await planOne(reader, settings, chosen, id);
      if (step?.state !== 'needed') continue;
      voice.say(`${id}: ${step.why.join(' ')}`);
      await apply(reader, writer, step, voice);
      const after = await planOne(reader, settings, chosen, id);
      if (after?.state === 'needed') {
        voice.say(`${id} was done, and is still needed.`);
      }
    }
  } finally {
    unlock();
  }
  return plan(reader, settings, chosen);
}

async function planOne(reader: SystemReader, settings: Settings, chosen: ReadonlySet<StepId>, id: StepId) {
  const { steps } = await plan(reader, settings, chosen, new Set([id]));
  return steps[0];
}

function voiceOn({ stdout, terminal }: Screen): Voice {
  let open = false;
  return {
    say: (text) => {
      // Names of files and processes are anybody's words.
      stdout(`${open ? '\r\x1b[K' : ''}${clean(decodeBytes(text))}\n`);
      open = false;
    },
    progress: (text) => {
      if (!terminal) return;
      stdout(`\r\x1b[K${text}`);
      open = true;
    },
  };
}
