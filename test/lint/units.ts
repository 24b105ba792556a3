import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { projectFiles } from './files.ts';

const unitFolder = 'usr/lib/systemd/system';

export const unitFiles = () =>
  projectFiles().filter((file) => /^(units|dracut)\/.*\.(service|timer|path|socket|target)$/.test(file));

/**
 * Runs `systemd-analyze verify` in a root with this machine's units and ours. The root has an empty file for every
 * program that our units start, because systemd-analyze checks that programs exist.
 * @returns its output; warnings count as failures
 */
export async function systemdAnalyze(): Promise<string> {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'immutafs-units-'));
  try {
    fs.cpSync(`/${unitFolder}`, path.join(root, unitFolder), { recursive: true, verbatimSymlinks: true });
    const units = unitFiles();
    units.forEach((unit) => stage(unit, root));
    const names = units.map((unit) => path.basename(unit));
    const { all } = await execa('systemd-analyze', ['verify', '--man=no', `--root=${root}`, ...names], {
      all: true,
      reject: false,
    });
    return units.length === 0 ? 'no units' : all;
  } finally {
    fs.rmSync(root, { recursive: true, force: true });
  }
}

function stage(unit: string, root: string): void {
  fs.copyFileSync(unit, path.join(root, unitFolder, path.basename(unit)));
  for (const [, program = ''] of fs.readFileSync(unit, 'utf8').matchAll(/^Exec\w+=[-@]*(\/\S+)/gm)) {
    fs.mkdirSync(path.dirname(path.join(root, program)), { recursive: true });
    fs.writeFileSync(path.join(root, program), '', { mode: 0o755 });
  }
}
