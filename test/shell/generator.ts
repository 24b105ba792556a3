import fs from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { lineProblems } from '../lint/directives.ts';
import { type Sandbox, runInSandbox } from './sandbox.ts';
import type { Shell } from './shells.ts';

const units = path.join(import.meta.dirname, '../../units');

/** immutafs-generator and the files that it sources. */
export const generatorScripts = fs
  .readdirSync(units)
  .filter((name) => name === 'immutafs-generator' || name.endsWith('.sh'))
  .map((name) => path.join(units, name));

const configFile = 'etc/immutafs/immutafs.conf';

interface Boot {
  /** The mode that the initramfs recorded; null: there is no record. */
  mode?: string | null;
  /** Further lines of the record. */
  record?: string;
  config?: string;
  fstab?: string;
  files?: NonNullable<Sandbox['files']>;
  /** Lines of bash that run first. */
  before?: string;
  devices?: Sandbox['devices'];
}

/**
 * Returns a function that runs immutafs-generator, by default in a sealed boot with a tmpfs at /var, and returns its
 * unit files as "path: line;line" and links as "path -> target", sorted.
 */
export const generatorIn =
  (shell: Shell) =>
  ({
    mode = 'sealed',
    record = '',
    config = '',
    fstab = '',
    before = tmpfsAtVar,
    ...more
  }: Boot = {}): string[] => {
    // The generator writes units and drop-ins for the defaults of these keys.
    const missing = ['MOUNT_OPTIONS=', 'FORWARD=relp://log'].filter(
      (line) => !new RegExp(`^${line.replace(/=.*/, '=')}`, 'm').test(config),
    );
    const { code, stderr, out } = runInSandbox({
      shell,
      devices: more.devices ?? [],
      files: {
        'etc/fstab': fstab,
        // Hides the unit of this machine.
        'usr/lib/systemd/system/blk-availability.service': '',
        ...(mode === null ? {} : { 'run/immutafs/boot.env': bootEnv(mode) + record }),
        [configFile]: [config, ...missing, ''].join('\n'),
        ...more.files,
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
    assert.equal([code, stderr], [0, '']);
    const written = `${out['links']}${out['files']}`.split('\n').filter((line) => line !== '');
    for (const line of written) assert.equal(lineProblems(line.replace(/^[^[]*: /, '').split(';')), []);
    return written.sort();
  };

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
