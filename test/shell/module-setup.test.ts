import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inTemporaryDirectory } from '../harness/temporary.ts';
import { dracut } from './shells.ts';

const moduleFolder = path.join(dracut, '95immutafs');

/** The functions that dracut offers to modules (dracut.modules(7)); each prints its arguments. */
const dracutFunctions = [
  ...['inst', 'inst_multiple', 'inst_script', 'inst_simple', 'inst_rules', 'inst_hook', 'instmods'].map(
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

moduleSetup('immutafs-boot is in the initramfs, and no script of the real root', () => {
  const { calls } = install();
  assert.match(calls, 'inst /usr/libexec/immutafs/immutafs-boot\n');
  assert.not.match(calls, /libexec\/immutafs\/(?!immutafs-boot\n)/);
});

moduleSetup.run();
