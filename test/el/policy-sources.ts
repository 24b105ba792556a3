import { globSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { DebianRelease } from '../vm/harness/release.ts';
import { type RhelRelease, rhelReleases } from './releases.ts';
import { type Source, exportSource, requireRepositories } from './sources.ts';

/** The releases of RHEL whose policy is built. Of RHEL 7, it is 7.7, because the source of the last one, 7.9, is not to be had. */
export type PolicyRelease = 'el7.7' | RhelRelease;

export interface PolicySources {
  /** The release of Debian whose programs build it. */
  base: DebianRelease;
  /** The policy, or the two archives which the patches of the source package change. */
  policy: Source & { archives?: true };
  /** The modules that are not in the policy. */
  contrib?: Source;
  /** The source package: lists of modules, users, booleans, path equivalences, patches. */
  config: Source;
  /** The directory of these files. */
  files: string;
  /** The path by which the policy knows /run. The other name is its equivalent. */
  run: '/run' | '/var/run';
  /** Whether the policy obeys its own neverallow rules. */
  obeys: boolean;
}

const el7: Source = { repository: 'selinux-policy-el7', branch: 'selinux-policy-3.13.1-252.el7_7.6' };
const archives = { ...el7, archives: true } as const;

/** The commits of RHEL 9 and 10 are public. There is no source package of RHEL 10, so that both have that of RHEL 9. */
const newer = (release: 'el9' | 'el10', run: PolicySources['run']): PolicySources => ({
  base: rhelReleases[release].base,
  policy: { repository: 'selinux-policy', branch: release === 'el9' ? 'c9s' : 'c10s' },
  config: { repository: 'selinux-policy-spec', branch: 'el9' },
  files: 'SOURCES',
  run,
  obeys: true,
});

export const policySources: Readonly<Record<PolicyRelease, PolicySources>> = {
  'el7.7': { base: 'trixie', policy: archives, config: el7, files: '.', run: '/var/run', obeys: false },
  // The commits of RHEL 8 are not to be had. Its policy and that of Fedora 30 have the version 3.14.3.
  el8: {
    base: rhelReleases.el8.base,
    policy: { repository: 'selinux-policy', branch: 'f30' },
    contrib: { repository: 'selinux-policy-contrib', branch: 'f30' },
    config: { repository: 'selinux-policy-spec', branch: 'el8' },
    files: 'SOURCES',
    run: '/var/run',
    obeys: true,
  },
  el9: newer('el9', '/var/run'),
  el10: newer('el10', '/run'),
};

/** @returns the sources of a policy */
export function sourcesOf(release: PolicyRelease): Source[] {
  const { policy, contrib, config } = policySources[release];
  return [policy, ...(contrib === undefined ? [] : [contrib]), config];
}

/** @throws MissingSources if a repository of a policy is not there */
export function requirePolicySources(releases: readonly PolicyRelease[]): void {
  requireRepositories(releases.flatMap((release) => sourcesOf(release)));
}

/**
 * Writes the policy to `source`, with all modules, and the source package to `config`.
 *
 * @param folder contains both
 * @returns the directory with the files of the source package
 */
export async function unpackPolicy(release: PolicyRelease, folder: string): Promise<string> {
  const { policy, contrib, config, files } = policySources[release];
  const [tree, given] = [join(folder, 'source'), join(folder, 'config', files)];
  const modules = join(tree, 'policy/modules/contrib');
  await exportSource(config, join(folder, 'config'));
  if (policy.archives) {
    await unpackArchives(policy, folder, given);
  } else {
    await exportSource(policy, tree);
    if (contrib !== undefined) await exportSource(contrib, modules);
    await execa('tar', ['-C', modules, '-xf', join(given, 'container-selinux.tgz')]);
  }
  return given;
}

/** Does what %prep in the spec file does. */
async function unpackArchives(source: Source, folder: string, given: string): Promise<void> {
  const archives = join(folder, 'archives');
  await exportSource(source, archives, (path) => path.endsWith('.tgz'));
  const trees = {
    base: join(archives, 'serefpolicy-3.13.1'),
    contrib: join(archives, 'serefpolicy-contrib-3.13.1'),
  };
  for (const tree of Object.values(trees)) await execa('tar', ['-C', archives, '-xf', `${tree}.tgz`]);
  const [spec = ''] = globSync(join(folder, 'config/**/selinux-policy.spec'));
  for (const [, patch = ''] of (await readFile(spec, 'utf8')).matchAll(/^patch\d+:\s*(\S+)$/gim))
    // A compiled module, which nothing uses, is among the files without its content.
    await execa(
      'git',
      ['apply', '--whitespace=nowarn', '--exclude=*.pp', '--allow-empty', join(given, patch)],
      {
        cwd: trees[patch.endsWith('-contrib.patch') ? 'contrib' : 'base'],
        // The directory is not part of this project.
        env: { GIT_CEILING_DIRECTORIES: archives },
      },
    );
  const modules = join(trees.base, 'policy/modules/contrib');
  await execa('cp', ['--archive', '--no-target-directory', trees.contrib, modules]);
  for (const file of globSync(join(modules, 'kubernetes.*'))) await rm(file);
  await execa('tar', ['-C', trees.base, '-xf', join(archives, 'config.tgz')]);
  await execa('mv', [trees.base, join(folder, 'source')]);
  await rm(archives, { recursive: true });
}
