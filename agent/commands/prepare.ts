import { createInterface } from 'node:readline/promises';
import { readConfig } from '../config/config.ts';
import { keys, pathOf } from '../config/keys.ts';
import { resetDirectories } from '../config/overlay-paths.ts';
import { readDeclarations } from '../facts/declared-directories.ts';
import { isBelow } from '../facts/mounts/mountinfo.ts';
import { stateRuleOf } from '../services/state-rules.ts';
import { SystemError, UsageError } from '../lib/errors.ts';
import { clean, decodeBytes } from '../lib/format.ts';
import { isImageWord, wantedWord } from '../config/image.ts';
import { imageReader, imageWriter } from '../system/image.ts';
import type { SystemWriter } from '../system/writer.ts';
import type { SystemReader } from '../system/reader.ts';
import type { Printer } from '../prepare/engine/context.ts';
import { requireImage, requireOwnSystem } from '../prepare/engine/preconditions.ts';
import { type Plan, isDone } from '../prepare/engine/plan.ts';
import { type Settings, type StepId, guestStepIds, noSettings, stepIds } from '../prepare/engine/step.ts';
import { planJson, planText, readinessText } from '../prepare/engine/text.ts';
import { hasTasks, readMoves } from '../prepare/move/record.ts';
import { planGuest, prepareGuest, undoGuest } from '../prepare/prepare.ts';
import { isPath } from '../config/accepted.ts';
import { outcomeSentence, outcomeText, readOutcome } from '../prepare/rehearsal/outcome.ts';
import type { LoadWriter } from './command.ts';
import { type Output, progressTo } from './output.ts';
import { endCommand, parseLimit, requestCommand } from './rehearsal.ts';

/** The options of `prepare`. */
export interface PrepareOptions extends Partial<
  Omit<Settings, 'sinceDays' | 'acceptPaths' | 'acceptUntil' | 'progress'>
> {
  apply?: boolean;
  json?: boolean;
  only?: StepId[];
  skip?: StepId[];
  since?: string;
  accept?: string[];
  yes?: boolean;
  undo?: boolean;
  reboot?: boolean;
  rehearse?: boolean;
  limit?: string;
  discardState?: boolean;
  endRehearsal?: boolean;
  image?: boolean;
}

/**
 * Runs `check --ready-to-seal`, with --image for the files of an image.
 * @returns the exit code: 0 if this guest, or a guest of this image, can be sealed as it is, otherwise 1
 */
export async function readyCommand(system: SystemReader, output: Output, isImage = false): Promise<number> {
  const reader = readerFor(system, isImage);
  const { settings, chosen } = readOptions(reader, {});
  const found = await planWithProgress(reader, output, settings, chosen);
  const rehearsal = outcomeSentence(outcomeOf(reader));
  output.stdout(`${readinessText(found)}${rehearsal === undefined ? '' : `${rehearsal}\n`}`);
  return isDone(found) ? 0 : 1;
}

/**
 * Runs `prepare`, which prints the plan and the outcome of the last rehearsal. With --apply, it carries the plan out;
 * with --undo, it restores the changed files; with --rehearse, it requests a rehearsal.
 * @param confirm asks the user; returns undefined if there is no terminal
 * @returns the exit code: 0 if nothing remains to be done, otherwise 1
 */
export async function prepareCommand(
  system: SystemReader,
  load: LoadWriter,
  output: Output,
  options: PrepareOptions,
  confirm: (question: string) => Promise<boolean> | undefined = askOnTerminal,
): Promise<number> {
  const isImage = options.image === true;
  refuseForImages(options);
  const reader = readerFor(system, isImage);
  const loadWriter = async () => (isImage ? imageWriter(await load(false)) : load());
  const { settings, chosen } = readOptions(reader, options);
  if (options.undo === true) {
    const { refused } = await planGuest(reader, settings, new Set());
    if (refused === null) {
      const writer = await loadWriter();
      const isRestored = await undoGuest({ reader, writer, ...printerTo(output) });
      if (options.reboot !== true) return isRestored ? 0 : 1;
      // Otherwise, nothing was recorded, or the way back is blocked.
      const isPlanned = readMoves(reader).restoreFiles;
      if (isPlanned) await requestReboot(writer, output);
      else output.stderr('Nothing is left for the next boot: the guest is not rebooted.\n');
      return isRestored || isPlanned ? 0 : 1;
    }
    output.stdout(`${clean(decodeBytes(refused))}\n`);
    return 1;
  }
  if (options.endRehearsal === true) return endCommand(reader, await loadWriter(), output);
  expectCombination(options);
  if (options.limit !== undefined) {
    if (options.rehearse !== true) throw new UsageError('--limit needs --rehearse');
    parseLimit(options.limit);
  }
  if (options.discardState === true && options.rehearse !== true)
    throw new UsageError('--discard-state needs --rehearse');
  const before = await planWithProgress(reader, output, settings, chosen);
  if (options.rehearse === true && options.apply !== true) {
    const code = await requestCommand(reader, await loadWriter(), output, before, options);
    if (code === 0 && options.reboot === true) await requestReboot(await loadWriter(), output);
    return code;
  }
  const print = (plan: Plan) => {
    const rehearsal = outcomeOf(reader);
    return options.json === true
      ? planJson(plan, { rehearsal, moves: readMoves(reader).moves })
      : `${planText(plan, output.terminal)}${outcomeText(rehearsal, output.terminal)}`;
  };
  if (options.apply !== true || isDone(before) || before.refused !== null) {
    output.stdout(print(before));
    if (isDone(before) && options.apply === true && options.rehearse === true)
      return rehearseAndReboot(reader, await loadWriter(), output, before, options);
    return isDone(before) ? 0 : 1;
  }
  if (options.yes !== true) {
    if (options.json === true) throw new UsageError('--apply with --json needs --yes');
    output.stdout(print(before));
    const answer = confirm('Do this now? [y/N] ');
    if (answer === undefined) throw new UsageError('--apply without a terminal needs --yes');
    if (!(await answer)) return 1;
  }
  const printer = printerTo(options.json === true ? { ...output, stdout: output.stderr } : output);
  const writer = await loadWriter();
  const after = await prepareGuest({ reader, writer, ...printer }, settings, chosen);
  output.stdout(print(after));
  if (options.rehearse === true) return rehearseAndReboot(reader, writer, output, after, options);
  if (options.reboot !== true) return isDone(after) ? 0 : 1;
  const isAllPlanned = after.steps.every(({ state }) => state === 'done' || state === 'at next boot');
  return (await rebootForTasks(reader, writer, output)) && isAllPlanned ? 0 : isDone(after) ? 0 : 1;
}

async function rehearseAndReboot(
  reader: SystemReader,
  writer: SystemWriter,
  output: Output,
  plan: Plan,
  options: PrepareOptions,
): Promise<number> {
  const code = await requestCommand(reader, writer, output, plan, options);
  if (code === 0 && options.reboot === true) await requestReboot(writer, output);
  return code;
}

/** Reboots if something is recorded for the next boot. @returns whether that is so */
async function rebootForTasks(reader: SystemReader, writer: SystemWriter, output: Output): Promise<boolean> {
  const isPlanned = hasTasks(readMoves(reader));
  if (isPlanned) await requestReboot(writer, output);
  else output.stderr('Nothing is left for the next boot: the guest is not rebooted.\n');
  return isPlanned;
}

async function requestReboot(writer: SystemWriter, output: Output): Promise<void> {
  const { exit, stderr } = await writer.run('/usr/bin/systemctl', ['--no-block', 'reboot'], 60);
  if (exit !== 0) throw new SystemError(`systemctl reboot failed: ${stderr.trim()}`);
  output.stderr('The guest reboots.\n');
}

/** Returns the reader of a guest or of an image. @throws UsageError in the wrong place */
function readerFor(system: SystemReader, isImage: boolean): SystemReader {
  if (!isImage) {
    requireOwnSystem(system);
    return system;
  }
  requireImage(system);
  return imageReader(system);
}

/** Returns the outcome of the last rehearsal, which no image has. */
function outcomeOf(reader: SystemReader): ReturnType<typeof readOutcome> {
  return reader.image === undefined ? readOutcome(reader) : null;
}

/** What to do in an image instead of using an option that acts on a running guest. */
const inImage: readonly (readonly [string, ...(keyof PrepareOptions)[]])[] = [
  ['the step home mounts /home by its label', 'homeDevice', 'homeUuid'],
  ['an image has no data disk', 'wipe'],
  ['remove the content of /home', 'purgeOldHome'],
  ['set PERSIST and PERSIST_STORE, and the first boot copies the directory', 'moveState'],
  ['remove the directory', 'purgeOldState'],
  ['mark the disk in a guest that is started from the image', 'scratchDevice'],
  ['remove the logs', 'cleanVar'],
  ['every file of an image has changed', 'since'],
  ['use it in a guest that runs its services', 'strictMounts', 'closeBypasses'],
  ['rehearse in a guest that is started from the image', 'rehearse', 'limit', 'discardState', 'endRehearsal'],
  ['reboot a guest that is started from the image', 'reboot'],
];

/** @throws UsageError for options that need a running guest, and for the options of an image without --image */
function refuseForImages(options: PrepareOptions): void {
  const { image, imageName, imageVersion, apply, only = [], skip = [] } = options;
  if (image !== true) {
    if (imageName !== undefined || imageVersion !== undefined)
      throw new UsageError('--image-name and --image-version need --image');
    if ([...only, ...skip].includes('image')) throw new UsageError('the step image needs --image');
    return;
  }
  for (const [instead, ...names] of inImage) {
    const name = names.find((each) => options[each] !== undefined && options[each] !== false);
    if (name === undefined) continue;
    const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    throw new UsageError(`${flag} needs a running guest, and cannot be used with --image: ${instead}`);
  }
  if ((imageName === undefined) !== (imageVersion === undefined))
    throw new UsageError('--image-name and --image-version need each other');
  if (imageName !== undefined && apply !== true) throw new UsageError('--image-name needs --apply');
  for (const [flag, value] of [
    ['--image-name', imageName],
    ['--image-version', imageVersion],
  ]) {
    if (value !== undefined && !isImageWord(value))
      throw new UsageError(`${flag} takes ${wantedWord}, not ${value}`);
  }
}

/** @throws UsageError for an option without the one that it needs */
function expectCombination({ reboot, apply, rehearse, ...others }: PrepareOptions): void {
  if (reboot === true && apply !== true && rehearse !== true)
    throw new UsageError('--reboot needs --apply, --rehearse or --undo');
  if (rehearse !== true || apply === true) return;
  const changes = [
    'homeDevice',
    'homeUuid',
    'wipe',
    'purgeOldHome',
    'moveState',
    'purgeOldState',
    'cleanVar',
  ] as const;
  if (changes.some((each) => others[each] !== undefined))
    throw new UsageError('--rehearse with options that change the guest needs --apply');
}

/** Plans with progress on stderr, which is removed afterwards. */
async function planWithProgress(
  reader: SystemReader,
  output: Output,
  settings: Settings,
  chosen: ReadonlySet<StepId>,
): Promise<Plan> {
  const { show, end } = progressTo(output);
  try {
    return await planGuest(reader, { ...settings, progress: show }, chosen);
  } finally {
    end();
  }
}

function printerTo({ stdout, stderr, terminal }: Output): Printer {
  let isOverwritten = false;
  const { show } = progressTo({ stderr });
  return {
    say: (text) => {
      // Cleaned, because any user can put control characters into the names of files and processes.
      stdout(`${isOverwritten ? '\r\x1b[K' : ''}${clean(decodeBytes(text))}\n`);
      isOverwritten = false;
    },
    progress: (text) => {
      if (!terminal) {
        show(text);
        return;
      }
      stdout(`\r\x1b[K${text}`);
      isOverwritten = true;
    },
  };
}

const device = /^\/dev\/[^\s]+$/;
const size = /^([1-9]\d?%|100%|[1-9]\d{0,11}[kmgKMG]?)$/;

/** @throws UsageError for a value of another form; undefined: the option was not used */
function expectForm(flag: string, value: string | undefined, form: RegExp, wanted: string): void {
  if (value !== undefined && !form.test(value)) throw new UsageError(`${flag} takes ${wanted}, not ${value}`);
}

function readOptions(
  reader: SystemReader,
  options: PrepareOptions,
): { settings: Settings; chosen: ReadonlySet<StepId> } {
  const { homeDevice, homeUuid, wipe, scratchDevice, tmpSize } = options;
  expectForm('--home-device', homeDevice, device, 'a device below /dev');
  expectForm('--wipe', wipe, device, 'a device below /dev');
  expectForm('--scratch-device', scratchDevice, device, 'a device below /dev');
  expectForm('--home-uuid', homeUuid, /^[\da-fA-F-]+$/, 'the UUID of a file system');
  if (wipe !== undefined && wipe !== homeDevice && wipe !== scratchDevice) {
    throw new UsageError('--wipe must name the same disk as --home-device or --scratch-device');
  }
  expectForm('--tmp-size', tmpSize, size, 'a percentage of the memory (25%) or a size (2g)');
  const { only = options.image === true ? stepIds : guestStepIds, skip = [] } = options;
  const chosen = new Set(only.filter((id) => !skip.includes(id)));
  if (chosen.size === 0) throw new UsageError('--skip leaves out every step');
  const { strictMounts = false, closeBypasses = false } = options;
  if ((strictMounts || closeBypasses) && !chosen.has('exec'))
    throw new UsageError(`${strictMounts ? '--strict-mounts' : '--close-bypasses'} needs the step exec`);
  const moveState = readItems(reader, options, chosen);
  if (scratchDevice !== undefined && !chosen.has('scratch'))
    throw new UsageError('--scratch-device needs the step scratch');
  const settings = { ...noSettings, ...options, moveState, ...readAcceptance(reader, options, chosen) };
  return { settings, chosen };
}

/** Reads --move-state: directories, or items of PERSIST with their options. */
function readItems(
  reader: SystemReader,
  { moveState = [] }: PrepareOptions,
  chosen: ReadonlySet<StepId>,
): string[] {
  if (moveState.length > 0 && !chosen.has('state')) throw new UsageError('--move-state needs the step state');
  const items = moveState.map((item) => item.replace(/(?<=.)\/+(?=:|$)/, ''));
  const bad = items.find((item) => keys.PERSIST.goodItem?.(item) !== true);
  if (bad !== undefined) throw new UsageError(`--move-state takes ${keys.PERSIST.wanted}; not ${bad}`);
  for (const path of items.map(pathOf)) {
    const kind = reader.stat(path)?.kind;
    if (kind === undefined) throw new UsageError(`--move-state ${path}: there is no such directory`);
    if (kind !== 'directory') throw new UsageError(`--move-state ${path}: not a directory`);
  }
  return items;
}

/**
 * Reads --since and --accept. `--accept changes` means everything until now. The step `state` records paths that a sealed
 * boot resets, and the step `writes` the others.
 */
function readAcceptance(
  reader: SystemReader,
  { since, accept = [] }: PrepareOptions,
  chosen: ReadonlySet<StepId>,
): Pick<Settings, 'sinceDays' | 'acceptPaths' | 'acceptUntil'> {
  expectForm('--since', since, /^[1-9]\d{0,4}$/, 'a number of days');
  const paths = accept
    .filter((each) => each !== 'changes')
    .map((each) => (each === '/' ? each : each.replace(/\/+$/, '')));
  const bad = paths.find((each) => !isPath(each));
  if (bad !== undefined) {
    throw new UsageError(`--accept takes absolute paths and the word \`changes\`, not ${bad}`);
  }
  const reset = accept.length === 0 ? [] : resetDirectories(readConfig(reader).config);
  for (const path of accept) {
    const step = path !== 'changes' && reset.some((each) => isBelow(path, each)) ? 'state' : 'writes';
    if (!chosen.has(step)) throw new UsageError(`--accept ${path} needs the step ${step}`);
  }
  const absent = paths.find((each) => reader.stat(each) === undefined && !isExpected(reader, each));
  if (absent !== undefined) throw new UsageError(`--accept ${absent}: there is no such file or directory`);
  return {
    sinceDays: since === undefined ? undefined : Number(since),
    acceptPaths: paths.map((each) => Buffer.from(each).toString('latin1')),
    acceptUntil: accept.includes('changes') ? reader.now().getTime() / 1000 : undefined,
  };
}

/** Whether a service makes a path that does not exist yet: one of the table of services, or one that a unit names. */
function isExpected(reader: SystemReader, path: string): boolean {
  if (stateRuleOf(path)?.kind === 'state') return true;
  return readDeclarations(reader, ['/var']).declarations.some((each) => each.path === path);
}

function askOnTerminal(question: string): Promise<boolean> | undefined {
  if (!process.stdin.isTTY || !process.stdout.isTTY) return undefined;
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  return lines
    .question(question)
    .then((answer) => /^y(es)?$/i.test(answer.trim()))
    .finally(() => lines.close());
}
