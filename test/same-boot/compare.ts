import type { Fingerprint } from './fingerprint.ts';

export interface Difference {
  key: string;
  /** The values of the clean boots; none if they do not have the key. */
  expected: readonly string[];
  /** undefined if the boot does not have the key. */
  found: string | undefined;
}

/**
 * Compares a boot with clean boots, of which some had all data disks and some had empty ones: root can destroy data, and a
 * value of a boot without the data is no difference.
 */
export function compare(clean: readonly Fingerprint[], boot: Fingerprint): Difference[] {
  const keys = new Set([...clean, boot].flatMap((each) => [...each.keys()]));
  return [...keys].toSorted().flatMap((key) => {
    const found = boot.get(key);
    if (clean.some((each) => each.get(key) === found)) return [];
    const expected = [...new Set(clean.flatMap((each) => each.get(key) ?? []))];
    return [{ key, expected, found }];
  });
}

export function describe({ key, expected, found }: Difference): string {
  return `${key}\n  clean: ${expected.join('\n     or: ') || '(absent)'}\n  found: ${found ?? '(absent)'}`;
}
