import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { keys } from '../../agent/config/keys.ts';
import { checks } from '../../agent/checks/index.ts';
import { forwardMessages } from '../../agent/forward/status/catalog.ts';
import { driftMessage, programMessage, verdictMessage } from '../../agent/report/log.ts';
import { explain } from '../../agent/report/explain.ts';
import { buildDocs, documents } from '../../packaging/docs/docs.ts';

const docs = suite('manuals, catalog, completion');
const messages = [...checks, verdictMessage, driftMessage, programMessage, ...Object.values(forwardMessages)];
let folder = '';

docs.before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'immutafs-docs-'));
  buildDocs(folder);
});
docs.after(() => fs.rmSync(folder, { recursive: true }));

for (const page of ['man/immutafs-agent.8', 'man/immutafs.conf.5']) {
  docs(`${page}: mandoc and groff have no warning`, () => {
    const file = path.join(folder, page);
    const mandoc = spawnSync('mandoc', ['-Tlint', '-Wwarning', file], { encoding: 'utf8' });
    assert.is(mandoc.stdout + mandoc.stderr, '');
    const env = { ...process.env, LC_ALL: 'C.UTF-8', MANWIDTH: '80' };
    const man = spawnSync('man', ['--warnings', '-l', file], { encoding: 'utf8', env });
    assert.is(man.stderr, '');
    assert.is(man.status, 0);
  });
}

docs('the manual and the catalog contain the texts of --explain', () => {
  const manual = rendered('man/immutafs-agent.8');
  const catalog = flat(documents()['immutafs.catalog'] ?? '');
  for (const { id, messageId, title, means, why, fix, page = '' } of checks) {
    assert.match(flat(explain(id)), flat(fix));
    for (const text of [title, means, why, fix, page]) {
      assert.ok(catalog.includes(flat(text).slice(1)), `${id} in the catalog: ${text}`);
      assert.ok(manual.includes(flat(text).replaceAll('`', '').slice(1)), `${id} in the manual: ${text}`);
    }
    assert.ok(catalog.includes(`-- ${messageId} Subject: Check ${id}`));
  }
});

docs('immutafs.conf(5) has every key with its default', () => {
  const manual = rendered('man/immutafs.conf.5');
  for (const [name, { meaning, initial }] of Object.entries(keys)) {
    assert.ok(manual.includes(`${name} ${flat(meaning)}`), name);
    assert.ok(manual.includes(`The default is ${initial === '' ? 'empty' : initial}.`), name);
  }
});

docs('journald accepts every entry of the catalog', () => {
  const system = path.join(folder, 'root');
  for (const under of ['usr/lib', 'var/lib']) {
    fs.mkdirSync(path.join(system, under, 'systemd/catalog'), { recursive: true });
  }
  const installed = path.join(system, 'usr/lib/systemd/catalog/immutafs.catalog');
  fs.copyFileSync(path.join(folder, 'immutafs.catalog'), installed);
  const run = (...args: string[]) =>
    spawnSync('journalctl', [`--root=${system}`, ...args], { encoding: 'utf8' });
  const update = run('--update-catalog');
  assert.is(update.stderr, '');
  assert.is(update.status, 0);
  const ids = run('--list-catalog')
    .stdout.trim()
    .split('\n')
    .map((line) => line.slice(0, 32));
  const expected = messages.map(({ messageId }) => messageId);
  assert.equal(ids, expected.sort());
});

docs('message IDs have 128 bits and are unique', () => {
  const ids = messages.map(({ messageId }) => messageId);
  assert.is(new Set(ids).size, messages.length);
  for (const id of ids) assert.match(id, /^[0-9a-f]{32}$/);
});

docs('bash completes commands, options and their values', () => {
  assert.equal(complete('immutafs-agent', 'st'), ['status']);
  assert.ok(complete('immutafs-agent', 'status', '--').includes('--json'));
  assert.equal(complete('immutafs-agent', 'status', '--color', 'al'), ['always']);
  assert.equal(complete('immutafs-agent', 'status', '--color', '=', 'ne'), ['never']);
  assert.equal(complete('immutafs-agent', 'status', '--color', '='), ['auto', 'always', 'never']);
  assert.equal(
    complete('immutafs-agent', 'status', '--explain', ''),
    checks.map(({ id }) => id),
  );
  assert.equal(complete('immutafs-agent', 'help', 'ver'), ['version']);
  assert.equal(complete('immutafs-agent', 'version', 'x'), []);
  assert.not.ok(complete('immutafs-agent', '').includes('probe'));
});

docs('bash and shellcheck report nothing for the completion', () => {
  const file = path.join(folder, 'completion/immutafs-agent');
  execFileSync('bash', ['-n', file]);
  execFileSync('shellcheck', ['-s', 'bash', file]);
});

/** Returns the completions that readline offers while the last of the words is being typed. */
function complete(...words: string[]): string[] {
  const script =
    '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _immutafs_agent; printf "%s\\n" "${COMPREPLY[@]}"';
  const file = path.join(folder, 'completion/immutafs-agent');
  const output = execFileSync('bash', ['-c', script, 'bash', file, ...words], { encoding: 'utf8' });
  return output.split('\n').filter((line) => line !== '');
}

/** Returns a page as rendered for a reader, without line breaks. */
function rendered(page: string): string {
  const file = path.join(folder, page);
  const text = execFileSync('mandoc', ['-Tutf8', '-O', 'width=1000', file], { encoding: 'utf8' });
  // oxlint-disable-next-line no-control-regex -- bold and underlined text is rendered by overstriking
  return flat(text.replace(/.\x08/g, ''));
}

function flat(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

docs.run();
