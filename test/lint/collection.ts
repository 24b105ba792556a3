import fs from 'node:fs';
import path from 'node:path';
import { execa } from 'execa';
import { whileTemporaryDirectory } from '../harness/temporary.ts';

/**
 * Runs ansible-lint and yamllint on the Ansible collection as a repository of its own, as Galaxy and users get it.
 * @returns the output of the linters that fail
 */
export function ansibleLint(): Promise<string> {
  return whileTemporaryDirectory((folder) => {
    const collection = path.join(folder, 'ansible_collections/immutafs/agent');
    const skipped = ['__pycache__', '.ansible'];
    fs.cpSync('ansible', collection, {
      recursive: true,
      filter: (file) => !skipped.includes(path.basename(file)),
    });
    return lint(folder, collection);
  });
}

async function lint(folder: string, collection: string): Promise<string> {
  const env = {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: folder,
    LC_ALL: 'C.UTF-8',
    NO_COLOR: '1',
    ANSIBLE_COLLECTIONS_PATH: folder,
  };
  const run = async (program: string, ...args: string[]) => {
    const options = {
      cwd: collection,
      env,
      extendEnv: false,
      all: true,
      reject: false,
      stdin: 'ignore',
    } as const;
    const { all, exitCode } = await execa(program, args, options);
    return exitCode === 0 ? '' : all || `${program} failed`;
  };
  // ansible-lint lints the files that git knows.
  await run('/usr/bin/git', 'init', '--quiet');
  await run('/usr/bin/git', 'add', '--all');
  const profile = ['--profile', 'production', '--strict', '--offline', '--parseable', '-q'];
  const [roles, yaml] = [
    await run('/usr/bin/ansible-lint', ...profile),
    await run('/usr/bin/yamllint', '--strict', '.'),
  ];
  return [roles, yaml].filter((text) => text !== '').join('\n');
}
