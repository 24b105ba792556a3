import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { progressTo } from '../../../agent/commands/output.ts';
import { versionCommand } from '../../../agent/commands/version.ts';
import { version } from '../../../agent/lib/version.ts';
import { thirdParty } from '../../../packaging/sbom/third-party.ts';
import { runIn } from '../../harness/command-line.ts';
import { goodGuest } from '../../harness/guest.ts';
import { Ajv } from 'ajv';

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

const progress = suite('progress on stderr');

/** Shows a text at each time and returns what was written. */
function shownAt(times: readonly number[], errorTerminal: boolean): string {
  let [text, now] = ['', 0];
  const output = { stdout: () => undefined, stderr: (each: string) => void (text += each), terminal: false };
  const { show, end } = progressTo({ ...output, errorTerminal }, () => now);
  for (now of times) show(`work at \x1b[2J${now}`);
  end();
  return text;
}

progress('nothing is shown in the first second', () => {
  assert.is(shownAt([0, 500, 999], true), '');
  assert.is(shownAt([0, 500, 999], false), '');
});

progress('if stderr is no terminal, a line is shown every ten seconds', () => {
  assert.is(shownAt([1000, 5000, 9999], false), '');
  assert.is(
    shownAt([10_000, 10_500, 19_999, 20_000, 65_000, 70_000], false),
    [10_000, 20_000, 65_000]
      .map((at) => `immutafs-agent: progress: work at ?[2J${at} (${at / 1000} s)\n`)
      .join(''),
  );
});

progress(
  'on a terminal, one line is overwritten and removed at the end, without control characters of others',
  () => {
    const text = shownAt([1000, 1100, 1500], true);
    assert.is(text.split('\r\x1b[K').length, 4);
    assert.ok(text.endsWith('\r\x1b[K'));
    assert.not.ok(text.includes('\x1b[2J'));
  },
);
progress.run();

const units = suite('the units that check');
for (const name of ['immutafs-check.service', 'immutafs-drift.service']) {
  units(`${name}: the unit fails only if the agent has no verdict or was killed`, () => {
    const unit = fs.readFileSync(path.join(import.meta.dirname, '../../../units', name), 'utf8');
    assert.equal(unit.match(/^SuccessExitStatus=.*$/gm), ['SuccessExitStatus=1 2 4']);
  });
  units(`${name}: stderr goes to the journal`, () => {
    const lines = fs.readFileSync(path.join(import.meta.dirname, '../../../units', name), 'utf8').split('\n');
    // StandardError= inherits the value of StandardOutput= (systemd.exec(5)), and the addon for the journal may be
    // missing.
    assert.ok(lines.includes('StandardOutput=null'));
    assert.ok(lines.includes('StandardError=journal'));
  });
}
units.run();
