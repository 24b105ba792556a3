import { globSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import { cached } from '../vm/harness/cache.ts';
import { build, keepMinutes } from './build-root.ts';
import { type RhelRelease } from './releases.ts';
import { commitOf, exportSource, rhel } from './sources.ts';
import { uniqueTransitions } from './unique-transitions.ts';

/** As RHEL's spec file sets them. */
const make =
  'make -s DISTRO=redhat UBAC=n DIRECT_INITRC=n MONOLITHIC=n MLS_CATS=1024 MCS_CATS=1024 UNK_PERMS=allow NAME=targeted TYPE=mcs';

/**
 * Builds RHEL's targeted policy. All modules that RHEL enables become one base module, because each module for itself takes
 * as long as all together.
 *
 * @returns a folder with `base.pp`, and below `etc` the files of /etc/selinux/targeted that no module contains
 */
export async function policy(release: RhelRelease): Promise<string> {
  const { policy: source, policyConfig, run } = rhel[release];
  const commits = [await commitOf(source), await commitOf(policyConfig)];
  const functions = [uniqueTransitions, withRun].map(String);
  const recipe = { release, commits, make, run, functions };
  return cached(
    'el-policy',
    recipe,
    async (folder) => {
      const [tree, config] = [join(folder, 'source'), join(folder, 'config')];
      await exportSource(source, tree);
      await exportSource(policyConfig, config, (path) => path.startsWith('SOURCES/'));
      const given = (name: string) => join(config, 'SOURCES', name);
      await execa('tar', ['-C', join(tree, 'policy/modules/contrib'), '-xf', given('container-selinux.tgz')]);
      await build(release, folder, `cd source\n${make} bare\n${make} conf`);
      await execa('cp', [given('booleans-targeted.conf'), join(tree, 'policy/booleans.conf')]);
      await execa('cp', [given('users-targeted'), join(tree, 'policy/users')]);
      await writeFile(join(tree, 'policy/modules.conf'), await moduleList(tree, config));
      await build(release, folder, `cd source\n${make} base.conf 2>&1`);
      const whole = join(tree, 'base.conf');
      await writeFile(whole, uniqueTransitions(await readFile(whole, 'utf8')));
      await build(
        release,
        folder,
        `cd source\n${make} base.pp 2>&1\n${make} DESTDIR=/src/root install-appconfig 2>&1`,
      );
      await rename(join(tree, 'base.pp'), join(folder, 'base.pp'));
      await rename(join(folder, 'root/etc/selinux/targeted'), join(folder, 'etc'));
      await mkdir(join(folder, 'etc/contexts/files'), { recursive: true });
      const put = (name: string, target: string) => execa('cp', [given(name), join(folder, 'etc', target)]);
      const equivalents = await readFile(given('file_contexts.subs_dist'), 'utf8');
      await writeFile(join(folder, 'etc/contexts/files/file_contexts.subs_dist'), withRun(equivalents, run));
      await put('customizable_types', 'contexts/customizable_types');
      await put('securetty_types-targeted', 'contexts/securetty_types');
      await put('setrans-targeted.conf', 'setrans.conf');
      for (const each of [tree, config, join(folder, 'root')]) await rm(each, { recursive: true });
    },
    keepMinutes,
  );
}

/** Returns RHEL's list of modules, those that the source has, all of them in the base module. */
async function moduleList(tree: string, config: string): Promise<string> {
  const there = new Set(
    globSync(join(tree, 'policy/modules/*/*.{te,te.in}')).map((file) =>
      basename(file).replace(/\.te(\.in)?$/, ''),
    ),
  );
  const lists = ['base', 'contrib'].map((name) =>
    readFile(join(config, `SOURCES/modules-targeted-${name}.conf`), 'utf8'),
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
