import { scripts } from './files.ts';
import { complaints } from './programs.ts';

/**
 * Runs shellcheck on the scripts. The boot scripts are POSIX sh; the dracut module is bash, because dracut sources it
 * with bash.
 */
export async function shellcheck(): Promise<string> {
  const reports = [
    await complaints('shellcheck', '-x', '-s', 'sh', ...scripts('sh')),
    await complaints('shellcheck', '-x', '-s', 'bash', ...scripts('bash')),
  ];
  return reports.join('\n');
}

export const dash = () => parse('dash', '-n');
export const bash = () => parse('bash', '--posix', '-n');
export const busybox = () => parse('busybox', 'sh', '-n');

async function parse(program: string, ...args: string[]): Promise<string> {
  const files = scripts('sh');
  if (files.length === 0) return 'no scripts';
  const reports = await Promise.all(files.map((file) => complaints(program, ...args, file)));
  return reports.join('\n');
}
