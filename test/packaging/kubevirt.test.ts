/** Compares the manifests for KubeVirt with the types that are generated from the OpenAPI documents of KubeVirt 1.7. */
import fs from 'node:fs';
import path from 'node:path';
import type { V1beta1VirtualMachinePool } from '@kubevirt-ui-ext/kubevirt-api/kubevirt';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseAllDocuments } from 'yaml';
import { scratch } from '../../packaging/build/paths.ts';
import { whileTemporaryDirectory } from '../harness/temporary.ts';
import { tsc } from '../lint/programs.ts';

const kubevirt = suite('manifests for KubeVirt');

const project = path.join(import.meta.dirname, '../..');
const manifests = fs.readFileSync(path.join(project, 'docs/kubevirt/pool.yaml'), 'utf8');

const types: Record<string, { module: string; name: string }> = {
  'v1 PersistentVolumeClaim': { module: 'kubernetes', name: 'IoK8sApiCoreV1PersistentVolumeClaim' },
  'v1 Secret': { module: 'kubernetes', name: 'IoK8sApiCoreV1Secret' },
  'pool.kubevirt.io/v1beta1 VirtualMachinePool': {
    module: 'kubevirt',
    name: 'V1beta1VirtualMachinePool',
  },
};

/**
 * Writes each manifest as a constant of its type, and compiles them: a field with an unknown name or a wrong type is an
 * error, and so is a missing field.
 *
 * @returns the messages of the compiler
 */
function check(text: string): Promise<string> {
  return whileTemporaryDirectory((folder) => {
    const lines = parseAllDocuments(text).map((document, index) => {
      const { apiVersion, kind, ...rest } = document.toJS() as Record<string, unknown>;
      const type = types[`${String(apiVersion)} ${String(kind)}`];
      assert.ok(type, `${String(apiVersion)} ${String(kind)}`);
      const value = JSON.stringify({ apiVersion, kind, ...rest });
      return `export const manifest${index}: import('@kubevirt-ui-ext/kubevirt-api/${type.module}').${type.name} = ${value};\n`;
    });
    const file = path.join(folder, 'manifests.ts');
    fs.writeFileSync(file, lines.join(''));
    return tsc('--strict', '--skipLibCheck', '--module', 'nodenext', '--ignoreConfig', file);
  }, scratch);
}

kubevirt('KubeVirt knows every field', async () => {
  assert.is(await check(manifests), '');
});

for (const [right, wrong] of [
  ['readonly: true\n                - name: data', 'readOnly: true\n                - name: data'],
  ['bootOrder: 1', "bootOrder: '1'"],
  ['claimName: web-2026.11', 'claim: web-2026.11'],
  ['accessModes: [ReadOnlyMany]', 'accessModes: ReadOnlyMany'],
] as const) {
  kubevirt(`${wrong.split('\n', 1)[0]} is an error`, async () => {
    const changed = manifests.replace(right, wrong);
    assert.is.not(changed, manifests);
    assert.match(await check(changed), /error TS/);
  });
}

kubevirt('the host makes the system disk and the seed read-only, and starts the system disk', () => {
  const pool = parseAllDocuments(manifests)
    .map((document) => document.toJS() as V1beta1VirtualMachinePool)
    .find(({ kind }) => kind === 'VirtualMachinePool');
  const { domain, volumes } = pool?.spec.virtualMachineTemplate.spec?.template.spec ?? {};
  assert.equal(
    domain?.devices.disks?.map(({ name, bootOrder, disk, cdrom }) => [
      name,
      bootOrder,
      (disk ?? cdrom)?.readonly,
    ]),
    [
      ['system', 1, true],
      ['data', undefined, undefined],
      ['seed', undefined, true],
    ],
  );
  assert.equal(
    volumes?.map(({ name }) => name),
    ['system', 'data', 'seed'],
  );
});

kubevirt.run();
