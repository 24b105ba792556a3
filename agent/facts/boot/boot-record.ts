/** The record of this boot, which the boot writes (boot/boot-env.ts) and the agent reads (boot-env.ts). */
export const bootEnvFile = '/run/immutafs/boot.env';
