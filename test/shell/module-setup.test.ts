import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inTemporaryFolder } from '../harness/temporary.ts';
import { dracut } from './shells.ts';

const moduleFolder = path.join(dracut, '95immutafs');

/** What dracut offers to its modules (dracut.modules(7)); each only prints its arguments. */
const dracutFunctions = [
  ...['inst_multiple', 'inst_script', 'inst_simple', 'inst_rules', 'inst_hook', 'instmods'].map(
    (name) => `${name}() { echo ${name} "$@"; }`,
  ),
  `moddir=${moduleFolder} systemdsystemunitdir=/usr/lib/systemd/system`,
  `. ${moduleFolder}/module-setup.sh`,
].join('\n');

/** Runs the module's install() and answers what it put into the initramfs, and what it asked dracut for. */
function install(): { files: Record<string, string>; asked: string } {
  return inTemporaryFolder((initdir) => {
    const script = `initdir=${initdir}\n${dracutFunctions}\ninstall`;
    const asked = execFileSync('bash', ['-euc', script], { encoding: 'utf8' });
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
    return { files: Object.fromEntries(files) as Record<string, string>, asked };
  });
}

const moduleSetup = suite('module-setup.sh');

moduleSetup('a boot with this initramfs never resumes: neither dracut nor systemd', () => {
  const { files } = install();
  assert.is(files['/etc/cmdline.d/95-immutafs.conf'], 'noresume\n');
  const masked = Object.keys(files).filter((file) => files[file] === '-> /dev/null');
  assert.equal(masked.sort(), [
    '/etc/systemd/system-generators/systemd-hibernate-resume-generator',
    '/etc/systemd/system/systemd-hibernate-resume.service',
    '/etc/systemd/system/systemd-hibernate-resume@.service',
  ]);
});

moduleSetup('every script that assemble-var reads is in the initramfs', () => {
  const { asked } = install();
  const text = fs.readFileSync(path.join(dracut, 'assemble-var'), 'utf8');
  const parts = [...text.matchAll(/^\. "\$parts\/(.+)"$/gm)].map(([, name]) => name);
  assert.ok(parts.includes('efi.sh'));
  for (const part of parts) assert.match(asked, `inst_simple /usr/libexec/immutafs/${part}\n`);
});

moduleSetup.run();
