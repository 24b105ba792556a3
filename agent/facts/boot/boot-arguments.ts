/** Whether a kernel with these arguments resumes no hibernation image: it, dracut and systemd know the word. */
export function neverResumes(words: readonly string[]): boolean {
  return words.includes('noresume');
}

/** What asks for a resume (Documentation/power/swsusp.rst). */
export function resumeWords(words: readonly string[]): string[] {
  return words.filter((word) => /^resume(_offset)?=./.test(word));
}

/**
 * Whether a kernel with these arguments has no access to EFI variables. `noefi` is known to every kernel since 2.6.27, the
 * 3.10 of RHEL 7 too; `efi=noruntime`, since 3.17, sets the same switch, and `efi=runtime` clears it: the last one counts
 * (drivers/firmware/efi/efi.c, setup_noefi, parse_efi_cmdline).
 */
export function hasNoEfiRuntime(words: readonly string[]): boolean {
  const last = words.findLast((word) => word === 'noefi' || /^efi=(.*,)?(no)?runtime(,|$)/.test(word));
  return last !== undefined && (last === 'noefi' || /[=,]noruntime(,|$)/.test(last));
}
