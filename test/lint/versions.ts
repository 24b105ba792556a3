import fs from 'node:fs';

/** Checks that the boot scripts, the agent, the lock file and the Ansible collection have the same version. */
export function versions(): string {
  const { version } = json('package.json');
  const [, scripts] = /^IMMUTAFS_VERSION=(.*)$/m.exec(fs.readFileSync('boot/library.sh', 'utf8')) ?? [];
  const [, collection] = /^version: (.*)$/m.exec(fs.readFileSync('ansible/galaxy.yml', 'utf8')) ?? [];
  return [
    { file: 'boot/library.sh', found: scripts },
    { file: 'package-lock.json', found: json('package-lock.json').version },
    { file: 'ansible/galaxy.yml', found: collection },
  ]
    .filter(({ found }) => found !== version)
    .map(({ file, found }) => `${file} has version ${found}, package.json ${version}`)
    .join('\n');
}

function json(file: string): { version: string } {
  return JSON.parse(fs.readFileSync(file, 'utf8')) as { version: string };
}
