import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

/** What version of it is where, and whether rpm finds its files as they were packed; for a guest's shell. */
export const look = {
  database: 'rpm --query --queryformat "%{VERSION}" updated',
  usr: 'cat /usr/share/updated/version',
  var: 'cat /var/lib/updated',
  verify: 'rpm --verify updated',
};

/**
 * A package of our own, `updated`: a file in /usr, and a scriptlet that writes in /var and, from version 2 on, makes the
 * list of modules anew, as a kernel's does. Its installation waits while there is /run/hold.
 *
 * @returns the path of the package
 */
export function buildUpdate(folder: string, version: number): Promise<string> {
  const content = `%install
install -d %{buildroot}/usr/share/updated
echo ${version} >%{buildroot}/usr/share/updated/version
%post
echo ${version} >/var/lib/updated
while [ -e /run/hold ]; do sleep 1; done
${version > 1 ? 'depmod' : ''}
%files
/usr/share/updated
`;
  return build(folder, 'updated', version, '', content);
}

/**
 * A package that stands for the distribution, of which rpm knows nothing in a guest that dpkg has made: it provides
 * what others ask for.
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
