import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Change,
  type SearchArea,
  parseRecord,
  searchChanges,
} from '../../../../../agent/prepare/steps/writes/search.ts';
import { type SystemReader, systemReader } from '../../../../../agent/system/reader.ts';
import { inDirectories, writeFiles } from '../../../../harness/temporary.ts';

const search = suite('search for changes');
const searchIn = inDirectories(search);

async function changesIn(
  area: Partial<SearchArea> & Pick<SearchArea, 'roots'>,
  since = 0,
  reader: Pick<SystemReader, 'run'> = systemReader(),
) {
  const [changes, folders] = [[] as Change[], [] as string[]];
  const incomplete = await searchChanges(
    reader as SystemReader,
    { withoutCtime: new Set(), excluded: [], ...area },
    since,
    (change) => changes.push(change),
    (folder) => folders.push(folder),
  );
  return { changes, folders, incomplete };
}

const namesOf = (changes: readonly Change[], folder: string) =>
  changes.map((change) => `${change.type} ${path.relative(folder, change.path)}`).sort();

searchIn('finds every kind of file by its true name, and follows no link', async (folder) => {
  const names = ['plain/file', 'new\nline', '100 f /etc/passwd'];
  writeFiles(folder, { ...Object.fromEntries(names.map((name) => [name, ''])), link: { linkTo: '/usr' } });
  fs.writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0x2a])]), '');
  const { changes, incomplete } = await changesIn({ roots: [folder] });
  assert.is(incomplete, undefined);
  assert.equal(namesOf(changes, folder), [
    ...['d ', 'd 100 f ', 'd 100 f /etc', 'd plain'],
    ...['f 100 f /etc/passwd', 'f new\nline', 'f plain/file', 'f \xff*', 'l link'],
  ]);
  assert.ok(changes.every(({ at }) => Math.abs(at - Date.now() / 1000) < 60));
});

searchIn('nothing is found that was not changed since', async (folder) => {
  writeFiles(folder, { 'a/b': '' });
  const { changes, folders } = await changesIn({ roots: [folder] }, Date.now() / 1000 + 60);
  assert.equal([changes, folders.includes(folder)], [[], true]);
});

searchIn('a later change of the mode alone is found, and an old mtime hides nothing', async (folder) => {
  writeFiles(folder, { a: '' });
  fs.utimesSync(path.join(folder, 'a'), 1e9, 1e9);
  assert.equal(namesOf((await changesIn({ roots: [folder] }, 1.5e9)).changes, folder), ['d ', 'f a']);
  const onFat = await changesIn({ roots: [folder], withoutCtime: new Set([folder]) }, 1.5e9);
  assert.equal(namesOf(onFat.changes, folder), ['d '], 'on FAT, only mtime counts');
});

searchIn('excluded folders are not searched, even if their names are patterns', async (folder) => {
  writeFiles(folder, { '[ab]*/x': '', 'a1/x': '', 'b\\?/x': '', 'bc/x': '' });
  const excluded = [`${folder}/[ab]*`, `${folder}/b\\?`];
  const { changes } = await changesIn({ roots: [folder], excluded });
  assert.equal(namesOf(changes, folder), ['d ', 'd a1', 'd bc', 'f a1/x', 'f bc/x']);
});

searchIn('a folder below an excluded one is searched if it is a root', async (folder) => {
  writeFiles(folder, { 'var/spool/at/1': '', 'var/2': '' });
  const { changes } = await changesIn({
    roots: [folder, `${folder}/var/spool/at`],
    excluded: [`${folder}/var`],
  });
  assert.equal(namesOf(changes, folder), ['d ', 'd var/spool/at', 'f var/spool/at/1']);
});

searchIn('the FAT file systems are searched even if another one cannot be read', async (folder) => {
  writeFiles(folder, { 'fat/a': '', 'other/b': '' });
  const roots = ['gone', 'other', 'fat'].map((name) => `${folder}/${name}`);
  const { changes, incomplete } = await changesIn({ roots, withoutCtime: new Set([`${folder}/fat`]) });
  assert.equal(namesOf(changes, folder), ['d fat', 'd other', 'f fat/a', 'f other/b']);
  assert.is(incomplete, 'find could not read every directory');
});

search('a search that fails or hangs is incomplete', async () => {
  for (const [ended, why] of [
    ['bad', /could not read every directory/],
    ['deadline', /did not end within 120 s/],
  ] as const) {
    const run = () => Promise.resolve({ stdout: '', ended });
    assert.match((await changesIn({ roots: ['/'] }, 0, { run })).incomplete ?? '', why);
  }
});

search('records are changes, or directories that are searched; malformed ones are ignored', () => {
  assert.equal(parseRecord('12.5 f /a b'), { path: '/a b', type: 'f', at: 12.5 });
  assert.equal(parseRecord('13 d /\xff\n'), { path: '/\xff\n', type: 'd', at: 13 });
  assert.equal(parseRecord('-5.0 f /a'), { path: '/a', type: 'f', at: -5 });
  assert.is(parseRecord('/usr'), '/usr');
  for (const record of ['', ' ', 'x f /a', '. f /a', '12.5 f', '12.5 f a', 'f /a']) {
    assert.is(parseRecord(record), undefined, record);
  }
});
search.run();
