import { globSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import { cached } from '../vm/harness/cache.ts';
import { buildOn, keepMinutes } from './build-root.ts';
import { oneModule } from './one-module.ts';
import {
  type PolicyRelease,
  policySources,
  requirePolicySources,
  sourcesOf,
  unpackPolicy,
} from './policy-sources.ts';
import { commitOf } from './sources.ts';
import { uniqueTransitions } from './unique-transitions.ts';

/** As RHEL's spec file sets them. */
const make =
  'make -s DISTRO=redhat UBAC=n DIRECT_INITRC=n MONOLITHIC=n MLS_CATS=1024 MCS_CATS=1024 UNK_PERMS=allow NAME=targeted TYPE=mcs PYTHON=python3';

/**
 * Builds RHEL's targeted policy. All modules that RHEL enables become one base module, because each module for itself takes
 * as long as all together.
 *
 * @returns a folder with the policy as `base.pp` and as `base.cil`, and below `etc` the files of /etc/selinux/targeted that
 * no module contains
 */
export async function policy(release: PolicyRelease): Promise<string> {
  requirePolicySources([release]);
  const { base, run, obeys } = policySources[release];
  const sources = sourcesOf(release);
  const commits = await Promise.all(sources.map(commitOf));
  const command = obeys ? make : `${make} CHECKMODULE='/usr/bin/checkmodule -M -N'`;
  const functions = [unpackPolicy, moduleList, uniqueTransitions, oneModule, withDbus, obey, withRun].map(
    String,
  );
  const recipe = { base, sources, commits, command, run, functions };
  return cached(
    'el-policy',
    recipe,
    async (folder) => {
      const tree = join(folder, 'source');
      const files = await unpackPolicy(release, folder);
      const given = (name: string) => join(files, name);
      const inTree = (...targets: string[]) =>
        buildOn(base, folder, ['cd source', ...targets.map((each) => `${command} ${each} 2>&1`)].join('\n'));
      await inTree('bare', 'conf');
      await execa('cp', [given('booleans-targeted.conf'), join(tree, 'policy/booleans.conf')]);
      await execa('cp', [given('users-targeted'), join(tree, 'policy/users')]);
      await writeFile(join(tree, 'policy/modules.conf'), await moduleList(tree, files));
      await inTree('base.conf');
      const whole = join(tree, 'base.conf');
      await writeFile(whole, withDbus(oneModule(uniqueTransitions(await readFile(whole, 'utf8')))));
      await inTree('base.pp', 'DESTDIR=/src/root install-appconfig');
      await rename(join(tree, 'base.pp'), join(folder, 'base.pp'));
      await buildOn(base, folder, '/usr/libexec/selinux/hll/pp base.pp >base.cil');
      if (!obeys) await obey(join(folder, 'base.cil'));
      await rename(join(folder, 'root/etc/selinux/targeted'), join(folder, 'etc'));
      await mkdir(join(folder, 'etc/contexts/files'), { recursive: true });
      const put = (name: string, target: string) => execa('cp', [given(name), join(folder, 'etc', target)]);
      const equivalents = await readFile(given('file_contexts.subs_dist'), 'utf8');
      await writeFile(join(folder, 'etc/contexts/files/file_contexts.subs_dist'), withRun(equivalents, run));
      await put('customizable_types', 'contexts/customizable_types');
      await put('securetty_types-targeted', 'contexts/securetty_types');
      await put('setrans-targeted.conf', 'setrans.conf');
      for (const each of ['source', 'config', 'root']) await rm(join(folder, each), { recursive: true });
    },
    keepMinutes,
  );
}

/**
 * Removes the rules of a policy in CIL that its own neverallow rules forbid. Some modules of RHEL 7 have such rules, of which
 * nothing takes notice there, because expand-check is off.
 */
async function obey(file: string): Promise<void> {
  for (;;) {
    const options = ['-v', '-o', '/dev/null', '-f', '/dev/null', file];
    const { all, exitCode } = await execa('secilc', options, { all: true, reject: false, maxBuffer: 1e9 });
    if (exitCode === 0) return;
    const forbidden = new Set(
      Array.from(all.matchAll(/^\s*allow at \S+:(\d+)$/gm), ([, line]) => Number(line)),
    );
    if (forbidden.size === 0) throw new Error(`secilc ${file}: ${all.slice(-2000)}`);
    const lines = (await readFile(file, 'utf8')).split('\n');
    await writeFile(file, lines.map((line, index) => (forbidden.has(index + 1) ? '' : line)).join('\n'));
  }
}

/** Corrects a rule of RHEL 7 for which a module requires an attribute that is a type. As a module of its own, it lacks the rule. */
const withDbus = (text: string): string =>
  text.replaceAll(/^(\s*)attribute system_dbusd_t;/gm, '$1type system_dbusd_t;');

/** Returns RHEL's list of modules, those that the source has, all of them in the base module. */
async function moduleList(tree: string, files: string): Promise<string> {
  const there = new Set(
    globSync(join(tree, 'policy/modules/*/*.{te,te.in}')).map((file) =>
      basename(file).replace(/\.te(\.in)?$/, ''),
    ),
  );
  const lists = ['base', 'contrib'].map((name) =>
    readFile(join(files, `modules-targeted-${name}.conf`), 'utf8'),
  );
  const names = (await Promise.all(lists)).flatMap((text) =>
    [...text.matchAll(/^(\w+)\s*=\s*(?:base|module)\s*$/gm)].map(([, name = '']) => name),
  );
  return [...new Set(names)]
    .filter((name) => there.has(name))
    .map((name) => `${name} = base\n`)
    .join('');
}

/** Returns a list of path equivalences in which /run and /var/run, and their subdirectory for locks, have the name of the policy. */
function withRun(equivalents: string, run: '/run' | '/var/run'): string {
  const others = equivalents.split('\n').filter((line) => !/^\/run(\/lock)? /.test(line));
  return [
    run === '/run' ? '/var/run /run\n/var/lock /run/lock' : '/run /var/run\n/run/lock /var/lock',
    ...others,
  ].join('\n');
}
