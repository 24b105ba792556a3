import { scripts } from './files.ts';
import { complaints } from './programs.ts';

/** POSIX sh is what boots; bash is what dracut reads its modules with. */
export async function shellcheck(): Promise<string> {
  const said = [
    await complaints('shellcheck', '-x', '-s', 'sh', ...scripts('sh')),
    await complaints('shellcheck', '-x', '-s', 'bash', ...scripts('bash')),
  ];
  return said.join('\n');
}

export const dash = () => parse('dash', '-n');
export const bash = () => parse('bash', '--posix', '-n');
export const busybox = () => parse('busybox', 'sh', '-n');

async function parse(program: string, ...args: string[]): Promise<string> {
  const files = scripts('sh');
  if (files.length === 0) return 'no scripts';
  const said = await Promise.all(files.map((file) => complaints(program, ...args, file)));
  return said.join('\n');
}
