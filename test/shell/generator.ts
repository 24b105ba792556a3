import fs from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { lineProblems } from '../lint/directives.ts';
import { type Sandbox, runInSandbox } from './sandbox.ts';

const units = path.join(import.meta.dirname, '../../units');

/** immutafs-generator and the files that it sources. */
export const generatorScripts = fs
  .readdirSync(units)
  .filter((name) => name === 'immutafs-generator' || name.endsWith('.sh'))
  .map((name) => path.join(units, name));

const configFile = 'etc/immutafs/immutafs.conf';

/** Adds keys to a configuration without them, because the generator writes units and drop-ins for their defaults. */
function withoutDefaults(config: string | { linkTo: string } = ''): string | { linkTo: string } {
  if (typeof config !== 'string') return config;
  const missing = ['MOUNT_OPTIONS=', 'FORWARD=relp://log'].filter(
    (line) => !new RegExp(`^${line.replace(/=.*/, '=')}`, 'm').test(config),
  );
  return [config, ...missing, ''].join('\n');
}

/**
 * Runs immutafs-generator.
 * @param before lines of bash that run first
 * @returns its exit code, and its unit files as "path: line;line" and links as "path -> target", sorted
 */
export function generate(
  shell: readonly [string, ...string[]],
  files: Record<string, string | { linkTo: string }>,
  before = '',
  devices: Sandbox['devices'] = [],
): { code: number | null; written: string[] } {
  const { code, stderr, out } = runInSandbox({
    shell,
    devices,
    files: {
      'etc/fstab': '',
      // Hides the unit of this machine.
      'usr/lib/systemd/system/blk-availability.service': '',
      ...files,
      [configFile]: withoutDefaults(files[configFile]),
    },
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
    scripts: generatorScripts,
  });
  if (out['files'] === undefined) throw new Error(stderr);
  assert.is(stderr, '');
  const written = ((out['links'] ?? '') + out['files']).split('\n').filter((line) => line !== '');
  for (const line of written) assert.equal(lineProblems(line.replace(/^[^[]*: /, '').split(';')), []);
  return { code, written: written.sort() };
}

export const bootEnv = (mode: string) => `MODE=${mode}\nREASON=x\nDISKS=\nVAR=overlay\n`;

export const mount = (name: string, kind = 'var') =>
  `${name}.mount.d/immutafs.conf: [Unit];Wants=immutafs-${kind}@${name}.service;After=immutafs-${kind}@${name}.service`;
export const service = (name: string, more: string, kind = 'var') =>
  `immutafs-${kind}@${name}.service.d/immutafs.conf: [Unit];Before=${name}.mount${more}`;
export const device = (unit: string) => `;Wants=${unit};After=${unit}`;
/** Returns the unit of a mount that the unit itself never makes. */
export const foundMount = (name: string, target: string, lines: string) =>
  `${name}.mount: [Unit];${lines};ConditionPathExists=!/;[Mount];What=${target};Where=${target};Type=none;Options=bind`;
/** Returns the unit files of mounts that a soft reboot keeps and that only systemd-shutdown(8) unmounts. */
export const kept = (targets: readonly string[], localFs = '') => {
  const unitNames = targets.map((target) => target.slice(1).replaceAll('/', '-'));
  const names = unitNames.map((each) => `${each}.mount`);
  return [
    ...targets.map((target, index) =>
      foundMount(unitNames[index] ?? '', target, 'DefaultDependencies=no;RefuseManualStop=yes'),
    ),
    `local-fs.target.d/immutafs.conf: [Unit];${localFs}${names.map((each) => `After=${each}`).join(';')}`,
  ];
};
export const runVar = kept(['/run/var']);
export const tmpfsAtVar = 'mkdir -p /var; mount -t tmpfs x /var';
export const overlayAtVar = `mkdir -p /var /layers; mount -t tmpfs x /layers; mkdir /layers/lower /layers/upper /layers/work
  mount -t overlay -o lowerdir=/layers/lower,upperdir=/layers/upper,workdir=/layers/work x /var`;

/** Asserts that the generator wrote exactly these files. */
export function same(written: readonly string[], expected: readonly string[]): void {
  assert.equal(written, expected.toSorted());
}
