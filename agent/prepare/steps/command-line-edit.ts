import { hasNoEfiRuntime, neverResumes, resumeWords } from '../../facts/boot/kernel-arguments.ts';
import { type LoaderFile, kernelopts, linuxLine, optionsLine } from '../../facts/boot/boot-loader.ts';

/** A kernel argument that the step adds. */
export type RequiredArgument = 'noresume' | 'noefi';

/**
 * Removes resume= and resume_offset=, and appends missing arguments. Spaces and quotes are left unchanged.
 * @param text the arguments of a kernel, as written in a file
 */
export function correctArguments(text: string, wanted: readonly RequiredArgument[]): string {
  const kept = text.replace(/(^|[ \t])resume(?:_offset)?=[^\s"']*/g, '');
  const words = kept.split(/\s+/);
  const has: Record<RequiredArgument, boolean> = {
    noresume: neverResumes(words),
    noefi: hasNoEfiRuntime(words),
  };
  const missing = wanted.filter((word) => !has[word]);
  if (missing.length === 0) return kept;
  const trimmed = kept.trimEnd();
  // If the line had no arguments, the added arguments are still preceded by its space.
  return [...(trimmed === '' && kept === '' ? [] : [trimmed]), ...missing].join(' ');
}

/** Whether the arguments need no change by `correctArguments`. */
export function hasCorrectArguments(words: readonly string[], wanted: readonly RequiredArgument[]): boolean {
  return resumeWords(words).length === 0 && correctArguments(words.join(' '), wanted) === words.join(' ');
}

/**
 * Corrects the arguments of every kernel in a file of GRUB.
 * @param inVariable whether a file sets the variable kernelopts, so that lines that use the variable get no arguments
 * @returns the text of the file, possibly unchanged
 * @throws Error if an environment block is too small
 */
export function correctLoaderFile(
  { file, kind, text }: LoaderFile,
  wanted: readonly RequiredArgument[],
  inVariable: boolean,
): string {
  const after = text.replace(
    kernelopts,
    (_, before: string, words: string) => before + correctArguments(words, wanted),
  );
  const change = (words: string) => {
    const isInVariable = inVariable && /\$\{?kernelopts\}?/.test(words);
    return correctArguments(words, isInVariable ? [] : wanted);
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

/** An environment block is always 1024 bytes, padded with "#" (grub-editenv(1)). */
const blockBytes = 1024;

function environmentBlock(file: string, text: string): string {
  const lines = text.replace(/#*$/, '');
  if (lines.length > blockBytes) throw new Error(`${file} has no space for more arguments`);
  return lines.padEnd(blockBytes, '#');
}

/**
 * Corrects the arguments of future kernels in /etc/default/grub.
 * @returns the text of the file; undefined if an assignment is not a plain string, because a shell evaluates the file
 */
export function correctDefaults(text: string, wanted: readonly RequiredArgument[]): string | undefined {
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
      return `${before}${around}${correctArguments(words, isDefault === undefined ? wanted : [])}${around}${rest}`;
    },
  );
  return unclear.length === 0 ? after : undefined;
}
