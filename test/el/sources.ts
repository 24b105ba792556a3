import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import type { RhelRelease } from './releases.ts';

/** A branch of a git repository. */
export interface Source {
  /** The name of the repository's folder in EL_SOURCES. */
  repository: string;
  branch: string;
}

/** The parts of RHEL that are built beside the policy (`policy-sources.ts`). */
interface OfKernel {
  /** An option that stays enabled, although the kernels of other releases are built without it. */
  kept?: string;
  /** Further variables of make. */
  variables?: string;
}

type Parts = Record<'dracut', Source> &
  Record<'systemd', Source & { options: readonly string[] }> &
  Record<'kernel', Source & OfKernel>;

export const rhel: Readonly<Record<RhelRelease, Parts>> = {
  el8: {
    kernel: {
      repository: 'almalinux-kernel',
      branch: '8.10',
      // kernel/cgroup/cgroup.c includes the declaration of cpus_read_lock only through the tracing headers.
      kept: 'FTRACE',
      // Debian 11's compiler is newer than RHEL's, and its additional warnings would be errors.
      variables: 'KCFLAGS=-Wno-error',
    },
    systemd: { repository: 'systemd-rhel8', branch: 'main', options: ['-Ddefault-hierarchy=legacy'] },
    dracut: { repository: 'dracut-rhel8', branch: 'main' },
  },
  el9: {
    kernel: { repository: 'almalinux-kernel', branch: '9.6' },
    systemd: {
      repository: 'systemd-rhel9',
      branch: 'main',
      options: ['-Dmode=release', '-Dfdisk=true', '-Dtpm2=true', '-Dopenssl=true', '-Dzstd=true'],
    },
    dracut: { repository: 'dracut-rhel9', branch: 'main' },
  },
  el10: {
    kernel: { repository: 'almalinux-kernel', branch: '10.0' },
    systemd: {
      repository: 'systemd-rhel10',
      branch: 'main',
      options: ['-Dmode=release', '-Dfdisk=enabled', '-Dtpm2=enabled', '-Dopenssl=enabled', '-Dzstd=enabled'],
    },
    dracut: { repository: 'dracut-rhel10', branch: 'main' },
  },
};

/** Where each repository is public. A clone with all branches, bare or not, belongs in EL_SOURCES under the name on the left. */
const addresses: Readonly<Record<string, string>> = {
  'almalinux-kernel': 'github.com/mkuron/almalinux-kernel',
  'systemd-rhel8': 'github.com/redhat-plumbers/systemd-rhel8',
  'systemd-rhel9': 'github.com/redhat-plumbers/systemd-rhel9',
  'systemd-rhel10': 'github.com/redhat-plumbers/systemd-rhel10',
  'dracut-rhel8': 'github.com/redhat-plumbers/dracut-rhel8',
  'dracut-rhel9': 'github.com/redhat-plumbers/dracut-rhel9',
  'dracut-rhel10': 'github.com/redhat-plumbers/dracut-rhel10',
  'selinux-policy': 'github.com/fedora-selinux/selinux-policy',
  'selinux-policy-contrib': 'github.com/fedora-selinux/selinux-policy-contrib',
  'selinux-policy-el7': 'github.com/eurolinux-enterprise-linux-sources/selinux-policy',
  'selinux-policy-spec': 'github.com/openela-main/selinux-policy',
};

/** Says what belongs in EL_SOURCES. */
export class MissingSources extends Error {}

/** @throws MissingSources if a repository is not there */
export function requireRepositories(sources: readonly Source[]): void {
  const folder = process.env['EL_SOURCES'];
  const needed = new Set(sources.map(({ repository }) => repository));
  const missing = [...needed].filter((name) => folder === undefined || !existsSync(join(folder, name)));
  if (missing.length === 0) return;
  const lines = missing.map(
    (name) => `  git clone --mirror https://${addresses[name]} ${folder ?? '$EL_SOURCES'}/${name}`,
  );
  throw new MissingSources(
    `${folder === undefined ? 'EL_SOURCES is not set' : `${folder} does not have all sources of RHEL`}. Fetch them first:\n${lines.join('\n')}`,
  );
}

const gitFolder = ({ repository }: Source): string => join(process.env['EL_SOURCES'] ?? '', repository);

/** @returns the commit of the branch */
export async function commitOf(source: Source): Promise<string> {
  const { stdout } = await execa('git', ['-C', gitFolder(source), 'rev-parse', `${source.branch}^{commit}`]);
  return stdout;
}

/** @returns the subject of the commit of the branch */
export async function subjectOf(source: Source): Promise<string> {
  const { stdout } = await execa('git', ['-C', gitFolder(source), 'log', '-1', '--format=%s', source.branch]);
  return stdout;
}

/**
 * Writes the files of a source to a folder. Files that the repository does not contain, because it is an incomplete copy,
 * are left out.
 *
 * @param keep whether a file is needed
 */
export async function exportSource(
  source: Source,
  folder: string,
  keep: (path: string) => boolean = () => true,
): Promise<void> {
  const git = async (args: string[], input = '', env = {}): Promise<string> => {
    const options = {
      input,
      env: { ...env, GIT_WORK_TREE: folder, GIT_DIR: await gitDirectory(source) },
      stripFinalNewline: false,
    };
    return (await execa('git', args, options)).stdout;
  };
  const scratch = await mkdtemp(join(tmpdir(), 'el-index-'));
  try {
    const listed = (await git(['ls-tree', '-r', '-z', source.branch]))
      .split('\0')
      .filter((line) => line !== '');
    const files = listed.filter((line) => / blob /.test(line) && keep(line.slice(line.indexOf('\t') + 1)));
    const hash = (line: string) => line.split(/[ \t]/, 3)[2] ?? '';
    const found = await git(['cat-file', '--batch-check=%(objectname)'], `${files.map(hash).join('\n')}\n`);
    const absent = new Set(
      found
        .split('\n')
        .filter((line) => line.endsWith(' missing'))
        .map((line) => line.split(' ', 1)[0]),
    );
    const there = files.filter((line) => !absent.has(hash(line)));
    const index = { GIT_INDEX_FILE: join(scratch, 'index') };
    await git(['update-index', '-z', '--index-info'], there.map((line) => `${line}\0`).join(''), index);
    await mkdir(folder, { recursive: true });
    await git(['checkout-index', '--all', '--force', `--prefix=${folder}/`], '', index);
  } finally {
    await rm(scratch, { recursive: true });
  }
}

async function gitDirectory(source: Source): Promise<string> {
  const { stdout } = await execa('git', ['-C', gitFolder(source), 'rev-parse', '--absolute-git-dir']);
  return stdout;
}
