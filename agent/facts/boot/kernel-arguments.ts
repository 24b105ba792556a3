export interface KernelArgument {
  /** The value of the last valid `immutafs=`; undefined if there is none. */
  mode: 'auto' | 'sealed' | 'off' | undefined;
  /** A message for each `immutafs=` with another value. */
  problems: string[];
}

/**
 * The argument `immutafs=`. dracut/immutafs-lib.sh parses it in the same way.
 * @param cmdline /proc/cmdline (bootparam(7))
 */
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
 * Splits a kernel command line. A double quote, wherever it is, starts or ends a part in which spaces do not separate
 * arguments (the kernel's lib/cmdline.c, next_arg()).
 * @param cmdline /proc/cmdline (bootparam(7))
 * @returns the arguments, without the quotes around an argument or a value
 */
export function splitKernelArguments(cmdline: string): string[] {
  const words = cmdline.match(/(?:[^ \t\n"]|"[^"]*(?:"|$))+/g) ?? [];
  return words.map(unquote);
}

function unquote(word: string): string {
  const inner = word.replace(/^"/, '').replace(/^([^][^=]*=)"/, '$1');
  return inner === word ? word : inner.replace(/"$/, '');
}

/** Whether `noresume` is set, which the kernel, dracut and systemd obey: no hibernation image is resumed. */
export function neverResumes(words: readonly string[]): boolean {
  return words.includes('noresume');
}

/** The arguments that name a hibernation image (Documentation/power/swsusp.rst). */
export function resumeWords(words: readonly string[]): string[] {
  return words.filter((word) => /^resume(_offset)?=./.test(word));
}

/**
 * Whether a kernel with these arguments has no access to EFI variables. Every kernel since 2.6.27 knows `noefi`. Since
 * 3.17, `efi=noruntime` sets the same switch and `efi=runtime` clears it; the last argument takes effect
 * (drivers/firmware/efi/efi.c, setup_noefi, parse_efi_cmdline).
 */
export function hasNoEfiRuntime(words: readonly string[]): boolean {
  const last = words.findLast((word) => word === 'noefi' || /^efi=(.*,)?(no)?runtime(,|$)/.test(word));
  return last !== undefined && (last === 'noefi' || /[=,]noruntime(,|$)/.test(last));
}
