import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseConfig } from '../../agent/config/config.ts';
import { inRoot } from '../../packaging/build/paths.ts';

const shipped = readFileSync(inRoot('packaging/immutafs.conf'), 'latin1');
const { config: defaults } = parseConfig('');

test('as it is shipped, it changes nothing', () => {
  assert.equal(parseConfig(shipped), { config: defaults, problems: [] });
});

test('names every key once, with the default that the agent uses', () => {
  const pairs = [...shipped.matchAll(/^#([A-Z_]+)=(.*)$/gm)].map(([, key, value]) => [key, value]);
  assert.equal(pairs, Object.entries(defaults));
});

test('stays good with every line taken in', () => {
  assert.equal(parseConfig(shipped.replace(/^#(?=[A-Z_]+=)/gm, '')), { config: defaults, problems: [] });
});

test('a wrong default would be seen', () => {
  const wrong = shipped.replace('#VAR_SIZE=25%', 'VAR_SIZE=50%');
  assert.is.not(wrong, shipped);
  assert.not.equal(parseConfig(wrong).config, defaults);
});

test.run();
