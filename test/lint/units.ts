import fs from 'node:fs';
import path from 'node:path';
import { execa } from 'execa';
import { whileTemporaryDirectory } from '../harness/temporary.ts';
import { projectFiles } from './files.ts';

const unitFolder = 'usr/lib/systemd/system';

export const unitFiles = () =>
  projectFiles().filter((file) => /^(units|dracut)\/.*\.(service|timer|path|socket|target)$/.test(file));

/** The drop-ins that select-dropins selects by the version of systemd. */
export const dropinFiles = () => fs.globSync('units/dropins/*.service.d/*').sort();

/** The highest exposure that `systemd-analyze security` may report. The check runs as root and sees all mounts. */
const exposureLimits = {
  ...{ 'immutafs-forward': 2, 'immutafs-check': 4, 'immutafs-drift': 4 },
  'host-immutafs-identity': 2,
};

/** The units for hosts, which may use directives that systemd 219 does not know. */
const hostUnitFiles = () =>
  projectFiles().filter((file) => /^(monitoring|ansible)\/.*\.(service|timer)$/.test(file));

/** The name of a unit in a root: that of immutafs-identity of a host differs from that of a guest. */
const stagedName = (unit: string) => `${unit.startsWith('ansible/') ? 'host-' : ''}${path.basename(unit)}`;

/**
 * Runs `systemd-analyze verify` in a root with this machine's units and ours. The root has an empty file for every
 * program that our units start, because systemd-analyze checks that programs exist.
 * @returns its output; warnings count as failures
 */
export async function systemdAnalyze(): Promise<string> {
  return whileTemporaryDirectory(async (root) => {
    fs.cpSync(`/${unitFolder}`, path.join(root, unitFolder), { recursive: true, verbatimSymlinks: true });
    const units = [...unitFiles(), ...hostUnitFiles()];
    units.forEach((unit) => stage(unit, root));
    stageDropins(root);
    const names = units.map(stagedName);
    const { all } = await execa('systemd-analyze', ['verify', '--man=no', `--root=${root}`, ...names], {
      all: true,
      reject: false,
    });
    return units.length === 0 ? 'no units' : all;
  });
}

/**
 * Runs `systemd-analyze security` on the units of the services that read what others write.
 * @returns one line per unit whose exposure is higher than its limit
 */
export async function exposure(): Promise<string> {
  return whileTemporaryDirectory(async (root) => {
    fs.mkdirSync(path.join(root, unitFolder), { recursive: true });
    [...unitFiles(), ...hostUnitFiles()].forEach((unit) => stage(unit, root));
    stageDropins(root);
    const problems = Object.entries(exposureLimits).map(async ([name, limit]) => {
      const options = ['security', '--offline=yes', '--no-pager', `--root=${root}`];
      const { all } = await execa('systemd-analyze', [...options, `${name}.service`], {
        all: true,
        reject: false,
      });
      const [, level] = /^→ Overall exposure level for .*: ([\d.]+) /m.exec(all) ?? [];
      if (level === undefined) return [`${name}.service: ${all}`];
      return Number(level) <= limit ? [] : [`${name}.service: exposure ${level}, limit ${limit}`];
    });
    return (await Promise.all(problems)).flat().join('\n');
  });
}

/** Adds the drop-ins for this machine's version of systemd, which is newer than the versions in their names. */
function stageDropins(root: string): void {
  for (const file of dropinFiles().filter((name) => name.includes('-since-'))) {
    const target = path.join(root, unitFolder, path.relative('units/dropins', file));
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.copyFileSync(file, target);
  }
}

function stage(unit: string, root: string): void {
  fs.copyFileSync(unit, path.join(root, unitFolder, stagedName(unit)));
  for (const [, program = ''] of fs.readFileSync(unit, 'utf8').matchAll(/^Exec\w+=[-@]*(\/\S+)/gm)) {
    fs.mkdirSync(path.dirname(path.join(root, program)), { recursive: true });
    fs.writeFileSync(path.join(root, program), '', { mode: 0o755 });
  }
}
