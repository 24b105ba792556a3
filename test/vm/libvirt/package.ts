import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

/** Commands for a guest that print the package's version in each place, and the output of `rpm --verify`. */
export const look = {
  database: 'rpm --query --queryformat "%{VERSION}" updated',
  usr: 'cat /usr/share/updated/version',
  var: 'cat /var/cache/updated',
  verify: 'rpm --verify updated',
};

/**
 * Builds the package `updated`, which has a file in /usr and a scriptlet. The scriptlet writes to /var, runs depmod
 * from version 2 on, as a kernel package does, and waits while /run/hold exists. What it writes is in /var/cache: a file in
 * /var/lib would be state about which an administrator must decide before the guest is sealed.
 *
 * @returns the path of the package
 */
export function buildUpdate(folder: string, version: number): Promise<string> {
  const content = `%install
install -d %{buildroot}/usr/share/updated
echo ${version} >%{buildroot}/usr/share/updated/version
%post
echo ${version} >/var/cache/updated
while [ -e /run/hold ]; do sleep 1; done
${version > 1 ? 'depmod' : ''}
%files
/usr/share/updated
`;
  return build(folder, 'updated', version, '', content);
}

/**
 * Builds a package that provides the requirements of other packages, because rpm's database is empty in a guest that
 * dpkg installed.
 */
export async function buildDistribution(folder: string, others: string[]): Promise<string> {
  const { stdout } = await execa('rpm', ['--query', '--package', '--requires', ...others]);
  const names = stdout.split('\n').filter((name) => !name.startsWith('rpmlib('));
  return build(folder, 'distribution', 1, `Provides: ${[...new Set(names)].join(', ')}\n`, '%files\n');
}

async function build(
  folder: string,
  name: string,
  version: number,
  tags: string,
  content: string,
): Promise<string> {
  const top = join(folder, `${name}-${version}`);
  await mkdir(top, { recursive: true });
  const spec = join(top, 'spec');
  const head = `Name: ${name}\nVersion: ${version}\nRelease: 1\nSummary: For a test\nLicense: Apache-2.0\n`;
  await writeFile(spec, `${head}BuildArch: noarch\n${tags}%description\nFor a test.\n${content}`);
  const macros = { _topdir: top, _build_name_fmt: `${name}.rpm`, _binary_payload: 'w6.gzdio' };
  const defines = Object.entries(macros).flatMap(([key, value]) => ['--define', `${key} ${value}`]);
  await execa('rpmbuild', ['-bb', ...defines, spec]);
  return join(top, `RPMS/${name}.rpm`);
}
