export interface KernelArgument {
  /** The last immutafs= that makes sense; undefined where there is none. */
  mode: 'auto' | 'sealed' | 'off' | undefined;
  /** The words that make none. */
  problems: string[];
}

/** @param cmdline /proc/cmdline (bootparam(7)); as dracut/immutafs-lib.sh reads it */
export function parseKernelArgument(cmdline: string): KernelArgument {
  const found: KernelArgument = { mode: undefined, problems: [] };
  for (const word of cmdline.split(/[ \t\n]+/)) {
    if (!word.startsWith('immutafs=')) continue;
    const value = word.slice('immutafs='.length);
    if (value === 'auto' || value === 'sealed' || value === 'off') found.mode = value;
    else found.problems.push(`kernel argument ${word}: must be auto, sealed or off, ignoring it`);
  }
  return found;
}
