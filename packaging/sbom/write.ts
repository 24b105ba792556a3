/**
 * write.ts FOLDER LICENCE: writes the SBOM of the package whose files are in FOLDER to FOLDER/usr/share/immutafs-agent/.
 * rpm.spec runs it as the last step of %install.
 */
import { createHash } from 'node:crypto';
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { commitTime, packageVersion } from '../build/version.ts';
import { thirdPartyList } from '../build/paths.ts';
import { type PackageFile, sbom } from './sbom.ts';
import type { ThirdParty } from './third-party.ts';

/** The path of the SBOM on the guest. */
export const installedSbom = '/usr/share/immutafs-agent/sbom.cdx.json';

function packageFiles(folder: string): PackageFile[] {
  return globSync('**', { cwd: folder, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort()
    .map((file) => ({
      path: `/${path.relative(folder, file)}`,
      sha256: createHash('sha256').update(readFileSync(file)).digest('hex'),
    }));
}

if (import.meta.main) {
  const [folder = '', licence = ''] = process.argv.slice(2);
  const software = JSON.parse(readFileSync(thirdPartyList, 'utf8')) as ThirdParty[];
  const product = { version: packageVersion(), licence, seconds: Number(commitTime()) };
  const out = path.join(folder, installedSbom);
  const text = sbom(software, packageFiles(folder), product);
  mkdirSync(path.dirname(out), { recursive: true });
  writeFileSync(out, text);
}
