import { createHash, randomInt } from 'node:crypto';

/** Seed of the random choices. It differs in each run and is printed, so that a run can be repeated. */
export const seed = Number(process.env['POWER_CUT_SEED'] ?? randomInt(2 ** 31));
process.stdout.write(`power cuts: POWER_CUT_SEED=${seed}\n`);

/** Returns a number in [0, 1) that is determined by the seed and `what`. */
export function random(what: string): number {
  return createHash('sha256').update(`${seed} ${what}`).digest().readUInt32LE() / 2 ** 32;
}
