import { audit } from './audit.ts';
import { boot } from './boot.ts';
import { certificate } from './certificate.ts';
import { changes } from './changes.ts';
import { density } from './density.ts';
import { forward, forwardFiles } from './forward.ts';
import { identity } from './identity.ts';
import { initramfs } from './initramfs.ts';
import { mounts } from './mounts.ts';
import { overlay } from './overlay.ts';
import { prepare } from './prepare.ts';
import { prepareHome } from './prepare-home.ts';
import { preparePlan } from './prepare-plan.ts';
import { status } from './status.ts';
import { isMet, table } from './table.ts';
import type { Figure } from './table.ts';
import { update } from './update.ts';

export interface Result {
  /** Describes the measurement and the control. */
  about: string;
  /** The heading of the control's column. */
  control: string;
  figures: Figure[];
}

const benchmarks: Record<string, () => Promise<Result>> = {
  status,
  mounts,
  audit,
  changes,
  prepare,
  'prepare-plan': preparePlan,
  'prepare-home': prepareHome,
  initramfs,
  forward,
  'forward-files': forwardFiles,
  boot,
  overlay,
  identity,
  certificate,
  update,
  density,
};

/** Runs the named benchmarks, or all benchmarks if no name is given. @returns the exit code: 1 if a target is missed */
async function main(names: string[]): Promise<number> {
  const unknown = names.find((name) => !Object.hasOwn(benchmarks, name));
  if (unknown !== undefined) {
    process.stderr.write(`bench: no ${unknown} among ${Object.keys(benchmarks).join(', ')}\n`);
    return 2;
  }
  let missed = 0;
  for (const [name, measure] of Object.entries(benchmarks)) {
    if (names.length > 0 && !names.includes(name)) continue;
    const { about, control, figures } = await measure();
    process.stdout.write(`${name}: ${about}\n${table(figures, control)}\n`);
    missed += figures.filter((figure) => isMet(figure) === false).length;
  }
  return missed > 0 ? 1 : 0;
}

process.exitCode = await main(process.argv.slice(2));
