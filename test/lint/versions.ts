import fs from 'node:fs';

/** The boot scripts, the agent, the lock file and the Ansible collection are of one version. */
export function versions(): string {
  const { version } = json('package.json');
  const [, scripts] =
    /^IMMUTAFS_VERSION=(.*)$/m.exec(fs.readFileSync('dracut/immutafs-lib.sh', 'utf8')) ?? [];
  const [, collection] = /^version: (.*)$/m.exec(fs.readFileSync('ansible/galaxy.yml', 'utf8')) ?? [];
  return [
    { file: 'dracut/immutafs-lib.sh', there: scripts },
    { file: 'package-lock.json', there: json('package-lock.json').version },
    { file: 'ansible/galaxy.yml', there: collection },
  ]
    .filter(({ there }) => there !== version)
    .map(({ file, there }) => `${file} is of ${there}, package.json of ${version}`)
    .join('\n');
}

function json(file: string): { version: string } {
  return JSON.parse(fs.readFileSync(file, 'utf8')) as { version: string };
}
