import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { agentRpm, installRpm } from './agent.ts';
import { digest } from './cache.ts';
import { dnfTree } from './dnf.ts';
import { derivedTree } from './tree.ts';

/** The directory of the guest with the packages that sessions install. */
export const repository = '/srv/repository';

/**
 * Returns a tree with dnf, with a repository of rpm that has `session-tool`, and with strace and its library as packages of
 * dpkg, which are not installed.
 */
export async function sessionTree(): Promise<string> {
  const [from, rpm] = [await dnfTree(), await agentRpm()];
  const recipe = { rpm: digest(await readFile(rpm)), add: String(addRepository), spec, dnf };
  return derivedTree('session-tree', from, recipe, async (root) => {
    await addRepository(root);
    await installRpm(root, rpm);
  });
}

/** A program, a unit that is started when it is installed, and a file in /etc. */
const spec = `Name: session-tool
Version: 1
Release: 1
Summary: A tool
License: MIT
BuildArch: noarch
%description
A tool.
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/etc/session-tool
printf '#!/bin/sh\\necho tool\\n' >%{buildroot}/usr/bin/session-tool
touch %{buildroot}/etc/session-tool/settings
%files
%attr(0755,root,root) /usr/bin/session-tool
/etc/session-tool/settings
`;

const dnf = `[local]
name=local
baseurl=file:///srv/repository
gpgcheck=0
`;

async function addRepository(root: string): Promise<void> {
  const folder = join(root, repository);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'tool.spec'), spec);
  const defines = ['--define', `_topdir ${folder}/build`, '--define', `_rpmdir ${folder}`];
  await execa('rpmbuild', ['-bb', '--target', 'noarch', ...defines, join(folder, 'tool.spec')]);
  await execa('createrepo_c', ['--quiet', folder]);
  await mkdir(join(root, 'etc/yum.repos.d'), { recursive: true });
  await writeFile(join(root, 'etc/yum.repos.d/local.repo'), dnf);
  await execa('apt-get', ['--quiet=2', 'download', 'strace', 'libunwind8'], { cwd: folder });
  if (!(await readdir(folder)).some((name) => name.startsWith('strace_'))) throw new Error('no strace');
}
