import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

/** What version of it is where, and whether rpm finds its files as they were packed; for a guest's shell. */
export const look = {
  database: 'rpm --query --queryformat "%{VERSION}" updated',
  usr: 'cat /usr/share/updated/version',
  var: 'cat /var/lib/updated',
  verify: 'rpm --verify --nodeps updated',
};

/**
 * A package of our own, `updated`: a file in /usr, and a scriptlet that writes in /var and, as a kernel's modules do,
 * makes the list of modules anew.
 *
 * @returns the path of the package
 */
export async function buildUpdate(folder: string, version: number): Promise<string> {
  const top = join(folder, `updated-${version}`);
  await mkdir(top, { recursive: true });
  const spec = join(top, 'updated.spec');
  await writeFile(
    spec,
    `Name: updated
Version: ${version}
Release: 1
Summary: Something to be updated
License: Apache-2.0
BuildArch: noarch
%description
Something to be updated.
%install
install -d %{buildroot}/usr/share/updated
echo ${version} >%{buildroot}/usr/share/updated/version
%post
echo ${version} >/var/lib/updated
depmod
%files
/usr/share/updated
`,
  );
  const macros = { _topdir: top, _build_name_fmt: 'updated.rpm', _binary_payload: 'w6.gzdio' };
  const defines = Object.entries(macros).flatMap(([name, value]) => ['--define', `${name} ${value}`]);
  await execa('rpmbuild', ['-bb', ...defines, spec]);
  return join(top, 'RPMS/updated.rpm');
}
