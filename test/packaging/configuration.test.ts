import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseConfig } from '../../agent/config/config.ts';
import { keys } from '../../agent/config/keys.ts';
import { inRoot } from '../../packaging/build/paths.ts';

const shipped = readFileSync(inRoot('packaging/immutafs.conf'), 'latin1');
const { config: defaults } = parseConfig('');

test('the delivered file changes no default', () => {
  assert.equal(parseConfig(shipped), { config: defaults, problems: [] });
});

test('contains every key once, with the default of the agent', () => {
  const pairs = [...shipped.matchAll(/^#([A-Z_]+)=(.*)$/gm)].map(([, key, value]) => [key, value]);
  assert.equal(pairs, Object.entries(defaults));
});

test('says when a change of each key takes effect', () => {
  const [, boot = '', initramfs = ''] =
    /at the next boot \(([^)]*)\), with the\n# next initramfs \(([^)]*)\)/.exec(shipped) ?? [];
  const isNamed = (list: string, key: string) =>
    list.split(', ').some((name) => new RegExp(`^${name.replace('*', '.*')}$`).test(key));
  for (const [key, { from }] of Object.entries(keys)) {
    assert.equal([isNamed(boot, key), isNamed(initramfs, key)], [from === 'boot', from === 'initramfs'], key);
  }
});

test('is valid with every line uncommented', () => {
  assert.equal(parseConfig(shipped.replace(/^#(?=[A-Z_]+=)/gm, '')), { config: defaults, problems: [] });
});

test('a wrong default is detected', () => {
  const wrong = shipped.replace('#VAR_SIZE=25%', 'VAR_SIZE=50%');
  assert.is.not(wrong, shipped);
  assert.not.equal(parseConfig(wrong).config, defaults);
});

test.run();
