/** The record of this boot. The boot writes it (boot/guest/boot-env.ts); the agent (boot-env.ts) and late boot (boot/guest/boot-state.ts) read it. */
export const bootEnvFile = '/run/immutafs/boot.env';

/** The modes that the record can have. */
export const modes = ['sealed', 'maintenance', 'off'] as const;

/** Splits the record into the values of each key, in the order of the lines. @returns also the lines that are not KEY=value */
export function valuesOf(text: string): { all: (key: string) => string[]; malformed: string[] } {
  const values = new Map<string, string[]>();
  const malformed: string[] = [];
  for (const line of text.split('\n').filter((each) => each !== '')) {
    const [, key, value] = /^([A-Z_]+)=(.*)$/.exec(line) ?? [];
    if (key === undefined || value === undefined) malformed.push(line);
    else values.set(key, [...(values.get(key) ?? []), value]);
  }
  return { all: (key) => values.get(key) ?? [], malformed };
}

/** Splits a value of OVERLAY, "PATH STATE REASON"; undefined if it has another form. The reason may be missing. */
export function splitOverlay(value: string): { target: string; state: string; reason: string } | undefined {
  const [, target, state, reason = ''] = /^(\/\S*) (\S+)(?: (.+))?$/.exec(value) ?? [];
  return target === undefined || state === undefined ? undefined : { target, state, reason };
}
