export interface KernelArgument {
  /** The last immutafs= that makes sense; undefined where there is none. */
  mode: 'auto' | 'sealed' | 'off' | undefined;
  /** The words that make none. */
  problems: string[];
}

/** @param cmdline /proc/cmdline (bootparam(7)); as dracut/immutafs-lib.sh reads it */
export function parseKernelArgument(cmdline: string): KernelArgument {
  const found: KernelArgument = { mode: undefined, problems: [] };
  for (const word of splitKernelArguments(cmdline)) {
    if (!word.startsWith('immutafs=')) continue;
    const value = word.slice('immutafs='.length);
    if (value === 'auto' || value === 'sealed' || value === 'off') found.mode = value;
    else found.problems.push(`kernel argument ${word}: must be auto, sealed or off, ignoring it`);
  }
  return found;
}

/**
 * The arguments of a kernel command line. A quote, wherever it is, begins or ends a stretch in which blanks separate
 * nothing (the kernel's lib/cmdline.c, next_arg()).
 * @param cmdline /proc/cmdline (bootparam(7))
 * @returns without the quotes around a word or a value
 */
export function splitKernelArguments(cmdline: string): string[] {
  const words = cmdline.match(/(?:[^ \t\n"]|"[^"]*(?:"|$))+/g) ?? [];
  return words.map(unquote);
}

function unquote(word: string): string {
  const inner = word.replace(/^"/, '').replace(/^([^][^=]*=)"/, '$1');
  return inner === word ? word : inner.replace(/"$/, '');
}
