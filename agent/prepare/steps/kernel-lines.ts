import { hasNoEfiRuntime, neverResumes, resumeWords } from '../../facts/boot/kernel-arguments.ts';
import { type LoaderFile, kernelopts, linuxLine, optionsLine } from '../../facts/boot/boot-loader.ts';

/** An argument that a kernel is to have. */
export type Wanted = 'noresume' | 'noefi';

/**
 * Arguments as they should be: what asks for a resume is taken off, what is missing is added at the end. Spaces and
 * quotes stay.
 * @param text the arguments of a kernel as they stand in a file
 */
export function corrected(text: string, wanted: readonly Wanted[]): string {
  const kept = text.replace(/(^|[ \t])resume(?:_offset)?=[^\s"']*/g, '');
  const words = kept.split(/\s+/);
  const has: Record<Wanted, boolean> = { noresume: neverResumes(words), noefi: hasNoEfiRuntime(words) };
  const missing = wanted.filter((word) => !has[word]);
  if (missing.length === 0) return kept;
  const trimmed = kept.trimEnd();
  // What is left of a line that had no arguments still begins with a space.
  return [...(trimmed === '' && kept === '' ? [] : [trimmed]), ...missing].join(' ');
}

/** Whether these arguments are as they should be. */
export function isCorrect(words: readonly string[], wanted: readonly Wanted[]): boolean {
  return resumeWords(words).length === 0 && corrected(words.join(' '), wanted) === words.join(' ');
}

/**
 * A file of GRUB's with the arguments of every kernel in it corrected; as it was where they are.
 * @param inVariable whether a file sets the variable kernelopts: arguments that are in it are corrected there
 * @throws Error for an environment block that has no room left
 */
export function correctedFile(
  { file, kind, text }: LoaderFile,
  wanted: readonly Wanted[],
  inVariable: boolean,
): string {
  const after = text.replace(
    kernelopts,
    (_, before: string, words: string) => before + corrected(words, wanted),
  );
  const change = (words: string) => {
    const elsewhere = inVariable && /\$\{?kernelopts\}?/.test(words);
    return corrected(words, elsewhere ? [] : wanted);
  };
  switch (kind) {
    case 'environment':
      return environmentBlock(file, after);
    case 'grub':
      return after.replace(
        linuxLine,
        (_, before: string, _kernel: string, words: string) => before + change(words === '' ? ' ' : words),
      );
    case 'entry':
      return after.replace(optionsLine, (_, before: string, words: string) => before + change(words));
  }
}

/** Always 1024 bytes, filled up with "#" (grub-editenv(1)). */
const blockBytes = 1024;

function environmentBlock(file: string, text: string): string {
  const lines = text.replace(/#*$/, '');
  if (lines.length > blockBytes) throw new Error(`${file} has no room for more arguments`);
  return lines.padEnd(blockBytes, '#');
}

/**
 * /etc/default/grub with the arguments of kernels to come corrected; undefined where the assignment is none that can be
 * corrected: a shell reads it.
 */
export function correctedDefaults(text: string, wanted: readonly Wanted[]): string | undefined {
  const assignment = /^([ \t]*(?:export[ \t]+)?GRUB_CMDLINE_LINUX(_DEFAULT)?=)(.*)$/gm;
  const found = [...text.matchAll(assignment)];
  if (!found.some(([, , isDefault]) => isDefault === undefined)) {
    return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}GRUB_CMDLINE_LINUX="${wanted.join(' ')}"\n`;
  }
  const unclear: string[] = [];
  const after = text.replace(
    assignment,
    (line, before: string, isDefault: string | undefined, value: string) => {
      const parts = /^(["']?)((?:[^"'\\`$]|\$\w)*)\1([ \t]*(?:#.*)?)$/.exec(value);
      const [, quote = '', words = '', rest = ''] = parts ?? [];
      if (parts === null || (quote === '' && /\s/.test(words))) {
        unclear.push(line);
        return line;
      }
      const around = quote === '' ? '"' : quote;
      return `${before}${around}${corrected(words, isDefault === undefined ? wanted : [])}${around}${rest}`;
    },
  );
  return unclear.length === 0 ? after : undefined;
}
