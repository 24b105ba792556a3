import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inTemporaryDirectory } from '../harness/temporary.ts';
import { boot, dracut } from './shells.ts';

const moduleFolder = path.join(dracut, '95immutafs');

/** The functions that dracut offers to modules (dracut.modules(7)); each prints its arguments. */
const dracutFunctions = [
  ...['inst_multiple', 'inst_script', 'inst_simple', 'inst_rules', 'inst_hook', 'instmods'].map(
    (name) => `${name}() { echo ${name} "$@"; }`,
  ),
  `moddir=${moduleFolder} systemdsystemunitdir=/usr/lib/systemd/system`,
  `. ${moduleFolder}/module-setup.sh`,
].join('\n');

/** Runs the module's install(). Returns the files that it wrote to the initramfs, and its calls of dracut's functions. */
function install(): { files: Record<string, string>; calls: string } {
  return inTemporaryDirectory((initdir) => {
    const script = `initdir=${initdir}\n${dracutFunctions}\ninstall`;
    const calls = execFileSync('bash', ['-euc', script], { encoding: 'utf8' });
    const entries = fs.readdirSync(initdir, { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => {
        const file = path.join(entry.parentPath, entry.name);
        const content = entry.isSymbolicLink()
          ? `-> ${fs.readlinkSync(file)}`
          : fs.readFileSync(file, 'utf8');
        return [file.slice(initdir.length), content];
      });
    return { files: Object.fromEntries(files) as Record<string, string>, calls };
  });
}

const moduleSetup = suite('module-setup.sh');

moduleSetup('neither dracut nor systemd resumes from hibernation', () => {
  const { files } = install();
  assert.is(files['/etc/cmdline'], 'noresume\n');
  const masked = Object.keys(files).filter((file) => files[file] === '-> /dev/null');
  assert.equal(masked.sort(), [
    '/etc/systemd/system-generators/systemd-hibernate-resume-generator',
    '/etc/systemd/system/systemd-hibernate-resume.service',
    '/etc/systemd/system/systemd-hibernate-resume@.service',
  ]);
});

moduleSetup('every script that a program of the initramfs sources is in the initramfs', () => {
  const { calls } = install();
  const sourced = new Set<string>();
  const follow = (file: string): void => {
    const text = fs.readFileSync(file, 'utf8');
    for (const [, name = ''] of text.matchAll(
      /^ *\. "?(?:\$parts|\/usr\/libexec\/immutafs)\/([\w.-]+)"?$/gm,
    )) {
      if (sourced.has(name)) continue;
      sourced.add(name);
      follow([boot, dracut].map((folder) => path.join(folder, name)).find(fs.existsSync) ?? name);
    }
  };
  assert.match(calls, 'inst_script /usr/libexec/immutafs/immutafs-boot ');
  assert.match(calls, 'inst_script /usr/libexec/immutafs/assemble-var ');
  follow(path.join(dracut, 'assemble-var'));
  assert.equal(
    ['library.sh', 'tables.sh', 'rehearsal.sh'].filter((name) => !sourced.has(name)),
    [],
  );
  for (const script of sourced) assert.match(calls, `inst_simple /usr/libexec/immutafs/${script}\n`);
});

moduleSetup.run();
