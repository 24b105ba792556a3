import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseConfig } from '../../agent/config/config.ts';
import { inRoot } from '../../packaging/build/paths.ts';
import { tables } from '../../packaging/build/tables.ts';

const shipped = readFileSync(inRoot('packaging/immutafs.conf'), 'latin1');
const { config: defaults } = parseConfig('');

test('the delivered file changes no default', () => {
  assert.equal(parseConfig(shipped), { config: defaults, problems: [] });
});

test('is valid with every line uncommented', () => {
  assert.equal(parseConfig(shipped.replace(/^#(?=[A-Z_]+=)/gm, '')), { config: defaults, problems: [] });
});

for (const [file, text] of Object.entries(tables)) {
  test(`${file} is up to date: npm run tables`, () => assert.is(readFileSync(inRoot(file), 'utf8'), text));
}

test('a wrong default is detected', () => {
  const wrong = shipped.replace('#VAR_SIZE=25%', 'VAR_SIZE=50%');
  assert.is.not(wrong, shipped);
  assert.not.equal(parseConfig(wrong).config, defaults);
});

test.run();
