import { createHash, randomInt } from 'node:crypto';

/** Seed of the random choices: differs in each run, and is printed so that a run can be repeated. */
export const seed = Number(process.env['POWER_CUT_SEED'] ?? randomInt(2 ** 31));
process.stdout.write(`power cuts: POWER_CUT_SEED=${seed}\n`);

/** A number in [0, 1), determined by the seed and by `what`. */
export function random(what: string): number {
  return createHash('sha256').update(`${seed} ${what}`).digest().readUInt32LE() / 2 ** 32;
}
