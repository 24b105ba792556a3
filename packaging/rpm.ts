import { execFileSync } from 'node:child_process';
import { globSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { build } from './build/build.ts';
import { commitTime, packageVersion } from './build/version.ts';
import { dist, inRoot, installedRuntime, root, scratch } from './build/paths.ts';
import { programs } from './build/small-programs.ts';
import { digest, once } from './build/stamp.ts';

/**
 * Builds dist/, and then the package from packaging/rpm.spec. The version is that of package.json.
 * @returns the path of the package, dist/immutafs-agent-VERSION-1.x86_64.rpm
 * @throws Error with the output of rpmbuild, if it failed
 */
export async function buildRpm(): Promise<string> {
  await build();
  const version = packageVersion();
  const out = path.join(dist, `immutafs-agent-${version}-1.x86_64.rpm`);
  const patterns = [
    'dist/immutafs-agent',
    ...programs.map((name) => `dist/${name}`),
    'dist/immutafs-boot',
    'dist/immutafs.catalog',
    'dist/third-party.json',
    'dist/{lib,licences,man,completion}/**',
    '{boot,dracut,units}/**',
    'docs/*.md',
    'docs/log-server/*',
    'packaging/*',
    'packaging/build/{run-dist.sh,version.ts,paths.ts}',
    'packaging/{sbom,selinux}/*',
    'LICENSE',
  ];
  const files = globSync(patterns, { cwd: root, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort();
  await once({
    name: 'rpm',
    key: digest({ texts: [version], files }),
    outputs: [out, path.join(dist, 'sbom.cdx.json')],
    make: () => make(version, out),
  });
  return out;
}

function make(version: string, out: string): void {
  const folder = path.join(scratch, `rpm-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  try {
    rpmbuild(folder, version);
    for (const old of globSync('immutafs-agent-*.rpm', { cwd: dist })) rmSync(path.join(dist, old));
    renameSync(path.join(folder, path.basename(out)), out);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function rpmbuild(folder: string, version: string): void {
  const macros = {
    _topdir: folder,
    _rpmdir: folder,
    _build_name_fmt: '%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm',
    // The package contains nothing about the build machine.
    _buildhost: 'localhost',
    use_source_date_epoch_as_buildtime: '1',
    // Also applies to %ghost files, which would otherwise have the current time.
    build_mtime_policy: 'clamp_to_source_date_epoch',
    project: root,
    build_time: commitTime(),
    node: process.execPath,
    agent_version: version,
    runtime_folder: installedRuntime,
  };
  const defines = Object.entries(macros).flatMap(([name, value]) => ['--define', `${name} ${value}`]);
  const env = { ...process.env, LC_ALL: 'C.UTF-8', SOURCE_DATE_EPOCH: commitTime() };
  const args = ['-bb', '--target', 'x86_64-linux', ...defines, inRoot('packaging/rpm.spec')];
  try {
    execFileSync('rpmbuild', args, { env, stdio: 'pipe', encoding: 'utf8' });
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    throw new Error(`rpmbuild failed:\n${stderr ?? ''}`, { cause: error });
  }
}

if (import.meta.main) {
  try {
    process.stdout.write(`${path.relative(process.cwd(), await buildRpm())}\n`);
  } catch (error) {
    process.stderr.write(`rpm: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
