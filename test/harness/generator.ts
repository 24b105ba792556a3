import fs from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { lineProblems } from '../lint/directives.ts';
import { runBoot } from './boot-native.ts';
import { makeSysfs } from './sysfs.ts';
import { inTemporaryDirectory, writeFiles } from './temporary.ts';

const units = path.join(import.meta.dirname, '../../units');

/** The generator, for a sandbox, which has immutafs-boot. */
export const generatorScripts: readonly string[] = [path.join(units, 'immutafs-generator')];

const configFile = 'etc/immutafs/immutafs.conf';

interface Boot {
  /** The mode that the initramfs recorded; null: there is no record. */
  mode?: string | null;
  /** Further lines of the record. */
  record?: string;
  config?: string;
  fstab?: string;
  files?: Parameters<typeof writeFiles>[1];
  /** The mounts besides /: "TYPE" or "TYPE OPTIONS" by mount point. */
  mounts?: Readonly<Record<string, string>>;
  devices?: Parameters<typeof makeSysfs>[1];
}

/**
 * Runs `immutafs-boot generator` in Node, by default in a sealed boot with a tmpfs at /var, and returns its unit files as
 * "path: line;line" and links as "path -> target", sorted. Files of early priority are in the same directory.
 */
export function generate({ config = '', ...boot }: Boot = {}): string[] {
  // The generator writes units and drop-ins for the defaults of these keys.
  const missing = ['MOUNT_OPTIONS=', 'FORWARD=relp://log'].filter(
    (line) => !new RegExp(`^${line.replace(/=.*/, '=')}`, 'm').test(config),
  );
  return inTemporaryDirectory((root) => {
    makeGuest(root, { ...boot, config: [config, ...missing, ''].join('\n') });
    const { code, stderr } = runBoot(root, ['generator', '/generated', '/generated', '/generated']);
    assert.equal([code, stderr], [0, '']);
    const written = writtenUnits(path.join(root, 'generated'));
    for (const line of written) assert.equal(lineProblems(line.replace(/^[^[]*: /, '').split(';')), []);
    return written;
  });
}

/** Creates what the generator reads below a directory, and an empty directory `generated`. */
export function makeGuest(root: string, boot: Boot): void {
  const { mode = 'sealed', record = '', config = '', fstab = '', mounts = { '/var': 'tmpfs' } } = boot;
  makeSysfs(root, boot.devices ?? []);
  writeFiles(root, {
    'etc/fstab': fstab,
    'proc/cmdline': 'ro quiet\n',
    'proc/meminfo': 'MemTotal:  1000000 kB\n',
    'proc/self/mountinfo': Object.entries({ '/': 'tmpfs', ...mounts })
      .map(([target, mount], index) => {
        const [type = '', options = 'rw'] = mount.split(' ');
        return `${index + 2} 1 0:${index + 30} / ${target} ${options} - ${type} x rw\n`;
      })
      .join(''),
    ...(mode === null ? {} : { 'run/immutafs/boot.env': bootEnv(mode) + record }),
    [configFile]: config,
    ...boot.files,
  });
  fs.mkdirSync(path.join(root, 'generated'));
}

/** Returns the files and links below a directory. */
export function writtenUnits(directory: string): string[] {
  const names = fs.readdirSync(directory, { recursive: true, encoding: 'utf8' });
  return names
    .map((name) => ({ name, file: path.join(directory, name) }))
    .filter(({ file }) => !fs.lstatSync(file).isDirectory())
    .map(({ name, file }) =>
      fs.lstatSync(file).isSymbolicLink()
        ? `${name} -> ${fs.readlinkSync(file)}`
        : `${name}: ${fs.readFileSync(file, 'latin1').replace(/\n$/, '').replaceAll('\n', ';')}`,
    )
    .sort();
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
export const overlayAtVar = { '/var': 'overlay' };

/** Asserts that the generator wrote exactly these files. */
export function same(written: readonly string[], expected: readonly string[]): void {
  assert.equal(written, expected.toSorted());
}
