import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inRoot } from '../../packaging/build/paths.ts';
import { inTemporaryDirectory } from '../harness/temporary.ts';

const profile = suite('packaging/profile.sh');
const message = 'immutafs-agent: In maintenance.\n';

/**
 * Returns the output of a shell that reads the script, with the given content of /run/immutafs/login (null: no file).
 */
function login(
  shell: string[],
  text: string | null,
  change: (file: string) => unknown = () => undefined,
): string {
  return inTemporaryDirectory((folder) => {
    const file = path.join(folder, 'login');
    if (text !== null) fs.writeFileSync(file, text);
    change(file);
    const script = fs.readFileSync(inRoot('packaging/profile.sh'), 'utf8');
    const [program = '', ...options] = shell;
    // An interactive shell reads its commands from stdin.
    const input = `${script.replaceAll('/run/immutafs/login', file)}echo end $?\n`;
    const env = { PATH: '/usr/bin:/bin', HOME: folder, PS1: '', PS2: '', ENV: '' };
    const stdio = ['pipe', 'pipe', 'ignore'] as const;
    const output = execFileSync(program, options, { input, encoding: 'utf8', env, stdio: [...stdio] });
    return output.replace(/^\n\nBusyBox.*\n.*\n\n/, '');
  });
}

for (const shell of [['dash'], ['bash', '--norc'], ['busybox', 'sh']]) {
  const name = shell.join(' ');
  const interactive = [...shell, '-i'];
  profile(`${name}: an interactive shell prints the notice`, () =>
    assert.is(login(interactive, message), `${message}end 0\n`),
  );
  profile(`${name}: silent if the notice is empty or missing`, () => {
    assert.is(login(interactive, ''), 'end 0\n');
    assert.is(login(interactive, null), 'end 0\n');
  });
  profile(`${name}: silent if the notice is a FIFO or a symbolic link`, () => {
    const fifo = (file: string) => execFileSync('mkfifo', [file]);
    const link = (file: string) => {
      fs.renameSync(file, `${file}.other`);
      fs.symlinkSync(`${file}.other`, file);
    };
    assert.is(login(interactive, null, fifo), 'end 0\n');
    assert.is(login(interactive, message, link), 'end 0\n');
  });
  profile(`${name}: silent for scp and ssh with a command`, () =>
    assert.is(login(shell, message), 'end 0\n'),
  );
}

profile.run();
