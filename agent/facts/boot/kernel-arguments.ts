export interface KernelArgument {
  /** The value of the last valid `immutafs=` argument; undefined if there is none. */
  mode: 'auto' | 'sealed' | 'off' | undefined;
  /** A message for each `immutafs=` argument with an invalid value. */
  problems: string[];
}

/**
 * Parses the argument `immutafs=`, also for the boot.
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
 * Splits a kernel command line into arguments. A double quote at any position starts or ends a quoted part, in which
 * spaces do not separate arguments (lib/cmdline.c in the kernel, next_arg()).
 * @param cmdline /proc/cmdline (bootparam(7))
 * @returns the arguments without the quotes around an argument or a value
 */
export function splitKernelArguments(cmdline: string): string[] {
  const words = cmdline.match(/(?:[^ \t\n"]|"[^"]*(?:"|$))+/g) ?? [];
  return words.map(unquote);
}

function unquote(word: string): string {
  const inner = word.replace(/^"/, '').replace(/^([^][^=]*=)"/, '$1');
  return inner === word ? word : inner.replace(/"$/, '');
}

/** Whether `noresume` is set, with which the kernel, dracut and systemd do not resume from a hibernation image. */
export function neverResumes(words: readonly string[]): boolean {
  return words.includes('noresume');
}

/** Returns the arguments that name a hibernation image (Documentation/power/swsusp.rst). */
export function resumeWords(words: readonly string[]): string[] {
  return words.filter((word) => /^resume(_offset)?=./.test(word));
}

/**
 * Whether a kernel with these arguments cannot access EFI variables. Kernels since 2.6.27 support `noefi`. Since 3.17,
 * `efi=noruntime` is equivalent to `noefi` and `efi=runtime` reverts it; the last of these arguments takes effect
 * (drivers/firmware/efi/efi.c, setup_noefi() and parse_efi_cmdline()).
 */
export function hasNoEfiRuntime(words: readonly string[]): boolean {
  const last = words.findLast((word) => word === 'noefi' || /^efi=(.*,)?(no)?runtime(,|$)/.test(word));
  return last !== undefined && (last === 'noefi' || /[=,]noruntime(,|$)/.test(last));
}

/**
 * Whether an argument names the target that systemd starts instead of default.target (kernel-command-line(7), and
 * src/core/main.c of systemd).
 */
export function namesTarget(words: readonly string[]): boolean {
  return words.some((word) => /^(systemd\.unit=.*|rescue|emergency|single|-b|-?s|S|[1-5])$/.test(word));
}
