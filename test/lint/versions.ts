import fs from 'node:fs';

/** The boot scripts, the agent and the lock file are of one version. */
export function versions(): string {
  const { version } = json('package.json');
  const [, scripts] =
    /^IMMUTAFS_VERSION=(.*)$/m.exec(fs.readFileSync('dracut/immutafs-lib.sh', 'utf8')) ?? [];
  return [
    { file: 'dracut/immutafs-lib.sh', there: scripts },
    { file: 'package-lock.json', there: json('package-lock.json').version },
  ]
    .filter(({ there }) => there !== version)
    .map(({ file, there }) => `${file} is of ${there}, package.json of ${version}`)
    .join('\n');
}

function json(file: string): { version: string } {
  return JSON.parse(fs.readFileSync(file, 'utf8')) as { version: string };
}
