import { Ajv } from 'ajv';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { versionCommand } from '../../../agent/commands/version.ts';
import { version } from '../../../agent/lib/version.ts';
import { thirdParty } from '../../../packaging/sbom/third-party.ts';
import { runIn } from '../../harness/command-line.ts';
import { goodGuest } from '../../harness/guest.ts';

const schemaFile = path.join(import.meta.dirname, '../../../agent/report/version.schema.json');
const valid = new Ajv({ strict: true, allErrors: true }).compile(
  JSON.parse(fs.readFileSync(schemaFile, 'utf8')) as object,
);

const json = suite('version --json');

json('lists the software that the build names, as the schema describes', () => {
  const printed = print(JSON.stringify(thirdParty(['node_modules/commander/index.js'])));
  assert.ok(valid(printed), JSON.stringify(valid.errors));
  assert.is(printed.version, version);
  const names = printed.bundled.map(({ name }) => name);
  for (const name of ['commander', 'node', 'openssl', 'libc6', 'libstdc++6', 'libsystemd0', 'libcap2'])
    assert.ok(names.includes(name), name);
  assert.is(printed.bundled.find(({ name }) => name === 'openssl')?.within, 'node');
});

json('the schema rejects a component without a version, and an unknown field', () => {
  const printed = print(JSON.stringify(thirdParty([])));
  assert.not.ok(valid({ ...printed, bundled: [{ ...printed.bundled[0], version: undefined }] }));
  assert.not.ok(valid({ ...printed, bundled: [{ ...printed.bundled[0], files: [] }] }));
});

json('lists nothing if the agent runs from its source', async () => {
  const { code, stdout, stderr } = await runIn(goodGuest(), 'version', '--json');
  assert.equal([code, stderr, JSON.parse(stdout)], [0, '', { version, bundled: [] }]);
});

json('throws instead of printing a list that is not JSON', () => {
  assert.throws(() => print('[{"name":'), /JSON/);
});

json.run();

interface Printed {
  version: string;
  bundled: { name: string; version: string; within?: string }[];
}

function print(list: string): Printed {
  let text = '';
  const output = { stdout: (more: string) => (text += more), stderr: assert.unreachable, terminal: false };
  assert.is(versionCommand(output, { json: true }, list), 0);
  return JSON.parse(text) as Printed;
}
