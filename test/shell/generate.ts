import path from 'node:path';
import * as assert from 'uvu/assert';
import { lineProblems } from '../lint/directives.ts';
import { type Box, runInBox } from './box.ts';

const units = path.join(import.meta.dirname, '../../units');
/** What immutafs-generator writes: "file: line; line", sorted. */
export function generate(
  shell: readonly [string, ...string[]],
  files: Record<string, string | { linkTo: string }>,
  before = '',
  devices: Box['devices'] = [],
): { code: number | null; written: string[] } {
  const { code, stderr, out } = runInBox({
    shell,
    devices,
    files: { 'etc/fstab': '', ...files },
    run: `mkdir /generated
      ${before}
      sh /usr/libexec/immutafs/immutafs-generator /generated /generated /generated
      code=$?
      cd /generated
      find . -type l -printf '%P -> %l\\n' | sort >/out/links
      find . -type f | sort | while read -r file; do
        printf '%s: ' "\${file#./}"
        tr '\\n' ';' <"$file" | sed 's/;$//'
        echo
      done >/out/files
      exit $code`,
    scripts: ['immutafs-generator', 'provisioning.sh', 'unit-files.sh'].map((name) => path.join(units, name)),
  });
  if (out['files'] === undefined) throw new Error(stderr);
  assert.is(stderr, '');
  const written = ((out['links'] ?? '') + out['files']).split('\n').filter((line) => line !== '');
  for (const line of written) assert.equal(lineProblems(line.replace(/^[^[]*: /, '').split(';')), []);
  return { code, written: written.sort() };
}
