import { createHash, randomInt } from 'node:crypto';

/** Of what a scenario draws by lot: another one in each run, and said, so that a run can be repeated. */
export const seed = Number(process.env['POWER_CUT_SEED'] ?? randomInt(2 ** 31));
process.stdout.write(`power cuts: POWER_CUT_SEED=${seed}\n`);

/** From 0 to below 1, the same for the same seed. */
export function random(what: string): number {
  return createHash('sha256').update(`${seed} ${what}`).digest().readUInt32LE() / 2 ** 32;
}
