/** When a supplier stops publishing security fixes. */
export interface EndOfLife {
  /** The release line as a regular expression of versions. */
  versions: RegExp;
  /** YYYY-MM-DD: the last day with security fixes. */
  end: string;
  source: string;
}

/** By the name of the component in the SBOM. Add a line before a new release line is bundled. */
export const endOfLife: Readonly<Record<string, readonly EndOfLife[]>> = {
  node: [
    { versions: /^22\./, end: '2027-04-30', source: 'schedule.json of the Node.js Release working group' },
    { versions: /^24\./, end: '2028-04-30', source: 'schedule.json of the Node.js Release working group' },
  ],
  // The C library is fixed by the Debian release from which the package takes it, not by the glibc project.
  libc6: [
    {
      versions: /^2\.41-.*deb13u\d+/,
      end: '2028-08-09',
      source: 'Debian 13 security support; Debian LTS continues until 2030-06-30',
    },
  ],
};

/**
 * Returns a line about the support of a component, and whether fixes have ended or the table does not have the version.
 * @param today YYYY-MM-DD
 */
export function support(
  { name, version }: { name: string; version: string },
  today: string,
): { line: string; ended: boolean } {
  const known = endOfLife[name]?.find(({ versions }) => versions.test(version));
  if (known === undefined) {
    const line = `${name} ${version}: end of life not known; add it to packaging/sbom/end-of-life.ts`;
    return { line, ended: true };
  }
  const { end, source } = known;
  const ended = today > end;
  const state = ended ? `has had no security fixes since ${end}` : `has security fixes until ${end}`;
  return { line: `${name} ${version}: ${state} (${source})`, ended };
}
