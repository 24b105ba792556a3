import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { type Moment, until } from './moment.ts';
import { qemuCommand } from './qemu.ts';
import type { Machine } from './qemu.ts';
import { parseReport } from './report.ts';
import type { Report, Step } from './report.ts';

/** How a run of a guest ended. `power-cut` only where the scenario asked for it. */
export type End = 'poweroff' | 'emergency' | 'panic' | 'power-cut' | 'timeout';

export interface Outcome {
  endedBy: End;
  /** Seconds of this machine's time, from QEMU's start to its end. */
  seconds: number;
  /** What the guest wrote to its console, ttyS0. */
  console: string;
  report: Report;
}

/** When to end a run that does not end by itself. */
export interface Limits {
  seconds: number;
  /** Cuts the power as soon as the report satisfies this. */
  powerCut?: ((report: Report) => boolean) | undefined;
  /** Cuts the power at this moment. */
  powerCutAt?: Moment | undefined;
  /** Told whenever the report has got longer. */
  heard?: ((report: Report) => void) | undefined;
}

/** QEMU itself gave up, by an assertion of its own; what the guest did has nothing to do with it. */
export class EmulatorFault extends Error {
  override name = 'EmulatorFault';
}

/**
 * Runs a machine until it powers off, or until a limit.
 *
 * @param folder where the console is written; must exist
 * @throws EmulatorFault, or another error if QEMU cannot be run
 */
export async function runMachine(machine: Machine, folder: string, limits: Limits): Promise<Outcome> {
  const [command = '', ...args] = qemuCommand(machine, folder);
  const console = join(folder, 'console');
  const started = performance.now();
  // stdin stays open: at its end QEMU would tell the guest that nobody listens to the report.
  const qemu = execa(command, args, { buffer: { stdout: false }, reject: false });
  const chunks: Buffer[] = [];
  const killedBy: End[] = [];
  const kill = (reason: End): void => {
    killedBy.push(reason);
    qemu.kill('SIGKILL');
  };
  qemu.stdout.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    const soFar = parseReport(Buffer.concat(chunks));
    limits.heard?.(soFar);
    if (limits.powerCut?.(soFar)) kill('power-cut');
  });
  const timer = setTimeout(() => kill('timeout'), limits.seconds * 1000);
  const ended = new AbortController();
  if (limits.powerCutAt) {
    const said = (): Promise<string> => consoleText(console);
    void until(limits.powerCutAt, said, ended.signal).then((reached) => reached && kill('power-cut'));
  }
  const { exitCode, signal, stderr } = await qemu;
  clearTimeout(timer);
  ended.abort();
  if (signal === 'SIGABRT') throw new EmulatorFault(stderr);
  if (exitCode !== 0 && killedBy.length === 0) throw new Error(`QEMU ended with ${exitCode}: ${stderr}`);
  const report = parseReport(Buffer.concat(chunks));
  const text = await consoleText(console);
  const seconds = (performance.now() - started) / 1000;
  return { endedBy: killedBy[0] ?? howItEnded(report, text), seconds, console: text, report };
}

function howItEnded(report: Report, text: string): End {
  if (report.emergency !== null) return 'emergency';
  return text.includes('Kernel panic - not syncing') ? 'panic' : 'poweroff';
}

async function consoleText(file: string): Promise<string> {
  if (!existsSync(file)) return '';
  return (await readFile(file, 'utf8')).replaceAll('\r', '');
}

export type { Report, Step };
