import { createInterface } from 'node:readline/promises';
import { HostError, UsageError } from '../lib/errors.ts';
import { clean, decodeBytes } from '../lib/format.ts';
import { type SystemWriter, systemWriter } from '../system/writer.ts';
import type { SystemReader } from '../system/reader.ts';
import { applyAll, lockFile } from '../prepare/engine/apply.ts';
import { type Plan, isDone, plan } from '../prepare/engine/plan.ts';
import { type Settings, type StepId, stepIds } from '../prepare/engine/step.ts';
import { planJson, planText, readinessText } from '../prepare/engine/text.ts';
import { undo } from '../prepare/engine/undo.ts';
import type { Output } from './output.ts';

export interface PrepareOptions {
  apply?: boolean;
  json?: boolean;
  only?: StepId[];
  skip?: StepId[];
  homeDevice?: string;
  homeUuid?: string;
  wipe?: string;
  purgeOldHome?: boolean;
  tmpSize?: string;
  tmpMode?: '1777' | '1700';
  cleanVar?: boolean;
  yes?: boolean;
  undo?: boolean;
}

/**
 * `prepare`: says what there is to do before this guest can be sealed; with --apply does it, with --undo gives back
 * the files as they were.
 * @returns 0 where nothing is left to do, else 1
 */
export async function prepareCommand(
  reader: SystemReader,
  output: Output,
  options: PrepareOptions,
): Promise<number> {
  return prepareWith(reader, systemWriter(), output, options, askOnTerminal);
}

/** `check --ready-to-seal`. @returns 0 if this guest can be sealed as it is, else 1 */
export async function readyCommand(reader: SystemReader, output: Output): Promise<number> {
  const { settings, chosen } = readOptions({});
  const found = await plan(reader, settings, chosen);
  output.stdout(readinessText(found));
  return isDone(found) ? 0 : 1;
}

/** @param confirm asks a person; undefined where nobody is there to ask */
export async function prepareWith(
  reader: SystemReader,
  writer: SystemWriter,
  output: Output,
  options: PrepareOptions,
  confirm: (question: string) => Promise<boolean> | undefined,
): Promise<number> {
  const { settings, chosen } = readOptions(options);
  if (options.undo === true) {
    const { refused } = await plan(reader, settings, new Set());
    if (refused === null) return undoLocked(reader, writer, output);
    output.stdout(`${clean(decodeBytes(refused))}
`);
    return 1;
  }
  const before = await plan(reader, settings, chosen);
  const print = options.json === true ? planJson : (each: Plan) => planText(each, output.terminal);
  if (options.apply !== true || isDone(before) || before.refused !== null) {
    output.stdout(print(before));
    return isDone(before) ? 0 : 1;
  }
  if (options.yes !== true) {
    if (options.json === true) throw new UsageError('--apply with --json needs --yes');
    output.stdout(print(before));
    const answer = confirm('Do this now? [y/N] ');
    if (answer === undefined)
      throw new UsageError('--apply needs --yes where there is no terminal to ask on');
    if (!(await answer)) return 1;
  }
  const progress = options.json === true ? { ...output, stdout: output.stderr } : output;
  try {
    const after = await applyAll(reader, writer, settings, chosen, progress);
    output.stdout(print(after));
    return isDone(after) ? 0 : 1;
  } catch (error) {
    // Neither the agent nor the system is at fault: something uses /home, or files of the old one stay; both are named.
    if (!(error instanceof HostError) || !['EBUSY', 'ENOTEMPTY'].includes(error.code)) throw error;
    output.stderr(`immutafs-agent: ${clean(decodeBytes(error.message))}\n`);
    return 1;
  }
}

function undoLocked(reader: SystemReader, writer: SystemWriter, output: Output): number {
  const unlock = writer.lock(lockFile);
  try {
    return undo(reader, writer, (text) => output.stdout(`${text}\n`)) ? 0 : 1;
  } finally {
    unlock();
  }
}

function readOptions(options: PrepareOptions): { settings: Settings; chosen: ReadonlySet<StepId> } {
  const { homeDevice, homeUuid, wipe, tmpSize, tmpMode } = options;
  for (const [name, device] of [
    ['--home-device', homeDevice],
    ['--wipe', wipe],
  ]) {
    if (device !== undefined && !/^\/dev\/[^\s]+$/.test(device)) {
      throw new UsageError(`${name} takes a device below /dev, not ${device}`);
    }
  }
  if (homeUuid !== undefined && !/^[\da-fA-F-]+$/.test(homeUuid)) {
    throw new UsageError(`--home-uuid takes the UUID of a file system, not ${homeUuid}`);
  }
  if (wipe !== undefined && wipe !== homeDevice) {
    throw new UsageError('--wipe names the disk that --home-device names, or none');
  }
  if (tmpSize !== undefined && !/^([1-9]\d?%|100%|[1-9]\d{0,11}[kmgKMG]?)$/.test(tmpSize)) {
    throw new UsageError(`--tmp-size takes a share of the memory (25%) or a size (2g), not ${tmpSize}`);
  }
  const { only = stepIds, skip = [] } = options;
  const chosen = new Set(only.filter((id) => !skip.includes(id)));
  if (chosen.size === 0) throw new UsageError('--skip leaves out every step');
  const [purgeOldHome, cleanVar] = [options.purgeOldHome === true, options.cleanVar === true];
  return { settings: { homeDevice, homeUuid, wipe, purgeOldHome, tmpSize, tmpMode, cleanVar }, chosen };
}

function askOnTerminal(question: string): Promise<boolean> | undefined {
  if (!process.stdin.isTTY || !process.stdout.isTTY) return undefined;
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  return lines
    .question(question)
    .then((answer) => /^y(es)?$/i.test(answer.trim()))
    .finally(() => lines.close());
}
