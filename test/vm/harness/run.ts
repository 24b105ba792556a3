import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { type Moment, until } from './moment.ts';
import { emulatorEnvironment, qemuCommand } from './qemu.ts';
import type { Machine } from './qemu.ts';
import { parseReport } from './report.ts';
import type { Report, Step } from './report.ts';

/** The way in which a run ended. `power-cut` occurs only if the scenario requests a power cut. */
export type End = 'poweroff' | 'emergency' | 'panic' | 'power-cut' | 'timeout';

export interface Outcome {
  endedBy: End;
  /** Run time of QEMU in seconds of this machine's time. */
  seconds: number;
  /** The text on the guest's console, ttyS0. */
  console: string;
  report: Report;
}

/** Conditions that end a run before the guest powers off. */
export interface Limits {
  seconds: number;
  /** Cuts the power when this returns true for the report. */
  powerCut?: ((report: Report) => boolean) | undefined;
  /** Cuts the power at this moment. */
  powerCutAt?: Moment | undefined;
  /** Called whenever the report has become longer. */
  onReport?: ((report: Report) => void) | undefined;
}

/** A failure of the emulation, independent of what the scenario tests. */
export class EmulatorFault extends Error {
  override name = 'EmulatorFault';
}

/**
 * Runs a machine until it powers off or a limit is reached.
 *
 * @param folder must exist; receives the console
 * @throws EmulatorFault, or another error if QEMU cannot be run
 */
export async function runMachine(machine: Machine, folder: string, limits: Limits): Promise<Outcome> {
  const [command = '', ...args] = qemuCommand(machine, folder);
  const console = join(folder, 'console');
  const started = performance.now();
  // Keep stdin open, because at its end QEMU would signal to the guest that the report port is closed.
  const qemu = execa(command, args, { buffer: { stdout: false }, env: emulatorEnvironment, reject: false });
  const chunks: Buffer[] = [];
  const killedBy: End[] = [];
  const kill = (reason: End): void => {
    killedBy.push(reason);
    qemu.kill('SIGKILL');
  };
  qemu.stdout.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    const soFar = parseReport(Buffer.concat(chunks));
    limits.onReport?.(soFar);
    if (limits.powerCut?.(soFar)) kill('power-cut');
  });
  const timer = setTimeout(() => kill('timeout'), limits.seconds * 1000);
  const ended = new AbortController();
  if (limits.powerCutAt) {
    const readConsole = (): Promise<string> => consoleText(console);
    void until(limits.powerCutAt, readConsole, ended.signal).then((reached) => reached && kill('power-cut'));
  }
  const { exitCode, signal, stderr } = await qemu;
  clearTimeout(timer);
  ended.abort();
  if (signal === 'SIGABRT') throw new EmulatorFault(stderr);
  if (exitCode !== 0 && killedBy.length === 0) throw new Error(`QEMU ended with ${exitCode}: ${stderr}`);
  const report = parseReport(Buffer.concat(chunks));
  const text = await consoleText(console);
  const seconds = (performance.now() - started) / 1000;
  const startsAtZero = machine.time === 'real' && machine.resumes !== true;
  if (startsAtZero && !report.done && isClockTooFast(text, seconds))
    throw new EmulatorFault(`the guest's clock ran several times too fast:\n${text.slice(-2000)}`);
  return { endedBy: killedBy[0] ?? endOf(report, text), seconds, console: text, report };
}

/**
 * Whether a guest's clock ran much faster than this machine's, so that time limits in the guest expired too early. On a
 * busy machine, an emulated kernel occasionally calibrates the time stamp counter wrongly.
 *
 * @param seconds the run time of QEMU
 */
export function isClockTooFast(console: string, seconds: number): boolean {
  const last = [...console.matchAll(/^\[ *([0-9]+)\.[0-9]{6}\] /gm)].at(-1)?.[1] ?? '0';
  return Number(last) > 2 * seconds + 10;
}

function endOf(report: Report, text: string): End {
  if (report.emergency !== null) return 'emergency';
  return text.includes('Kernel panic - not syncing') ? 'panic' : 'poweroff';
}

async function consoleText(file: string): Promise<string> {
  if (!existsSync(file)) return '';
  return (await readFile(file, 'utf8')).replaceAll('\r', '');
}

export type { Report, Step };
