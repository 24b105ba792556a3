import { Spec, Validation } from '@cyclonedx/cyclonedx-library';
import { PackageURL } from 'packageurl-js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { callPlugin } from '../../harness/collection.ts';

/** Tests the bill of materials of an image (ansible/plugins/module_utils/sbom.py). */
const test = suite('the SBOM of an image');

interface Component {
  type: string;
  name: string;
  version?: string;
  purl?: string;
}

interface Document {
  metadata: { timestamp: string; component: Component & { hashes: { content: string }[] } };
  components: Component[];
}

const image = {
  name: 'web',
  version: '2026.12',
  file: 'web-2026.12.qcow2',
  sha256: 'a'.repeat(64),
  time: '2026-12-01T10:00:00Z',
};

const documentOf = (...lines: string[]) =>
  callPlugin('module_utils.sbom', 'document', `${lines.join('\n')}\n`, image) as Document;

const rhel = [
  ...['agent 1', 'kernel 5.14.0', 'system rhel 9.4', 'file aaaa  /boot/vmlinuz'],
  ...['package bash 5.1.8-9.el9.x86_64', 'package shadow-utils 2:4.9-8.el9.x86_64'],
  ...['package gpg-pubkey fd431d51-4ae0493b.(none)', 'package bash 5.1.8-9.el9.x86_64'],
];

test('it is valid against the official schema of CycloneDX 1.5, also without packages and distribution', async () => {
  const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot5);
  for (const document of [documentOf(...rhel), documentOf('agent 1')])
    assert.is(await validator.validate(JSON.stringify(document)), null);
  const [first] = documentOf(...rhel).components;
  const twice = { ...documentOf(...rhel), components: [first, first] };
  assert.is.not(await validator.validate(JSON.stringify(twice)), null, 'the schema is strict');
});

test('it describes the file, the distribution, and each package once; keys of rpm are no packages', () => {
  const { metadata, components } = documentOf(...rhel);
  assert.equal([metadata.timestamp, metadata.component.hashes[0]?.content], [image.time, image.sha256]);
  assert.equal([metadata.component.name, metadata.component.version], ['web', '2026.12']);
  const shown = components.map(({ type, name, version }) => `${type} ${name} ${version}`);
  assert.equal(shown, [
    'operating-system rhel 9.4',
    'library bash 5.1.8-9.el9',
    'library shadow-utils 2:4.9-8.el9',
  ]);
  assert.equal(documentOf(...rhel), documentOf(...rhel.toReversed()));
});

for (const [system, line, expected] of [
  [
    'system rhel 9.4',
    'package bash 5.1.8-9.el9.x86_64',
    'rpm redhat bash 5.1.8-9.el9 arch=x86_64 distro=rhel-9.4',
  ],
  [
    'system almalinux 9.4',
    'package shadow-utils 2:4.9-8.el9.x86_64',
    'rpm almalinux shadow-utils 4.9-8.el9 arch=x86_64 distro=almalinux-9.4 epoch=2',
  ],
  [
    'system debian 13',
    'deb libstdc++6 14.2.0-19.amd64',
    'deb debian libstdc++6 14.2.0-19 arch=amd64 distro=debian-13',
  ],
  [
    'system debian 13',
    'deb passwd 1:4.17.4-2.amd64',
    'deb debian passwd 1:4.17.4-2 arch=amd64 distro=debian-13',
  ],
  ['system debian ', 'deb a 1~rc1.all', 'deb debian a 1~rc1 arch=all'],
  ['', 'package a 1-1.noarch', 'rpm undefined a 1-1 arch=noarch'],
] as const) {
  test(`the package URL of ${line}: ${expected}`, () => {
    const purl = documentOf(system, line).components.at(-1)?.purl ?? '';
    const { type, namespace, name, version, qualifiers } = PackageURL.fromString(purl);
    const more = Object.entries(qualifiers ?? {}).map(([key, value]) => `${key}=${value}`);
    assert.is([type, namespace, name, version, ...more].map(String).join(' '), expected);
  });
}

test.run();
