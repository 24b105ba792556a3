import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseBootEnv } from '../../../../agent/facts/boot/boot-env.ts';
import { hasNoEfiRuntime } from '../../../../agent/facts/boot/kernel-arguments.ts';
import { layersOf } from '../../../../agent/facts/boot/overlays.ts';
import { nameInStore, persistItems, readPathRecord } from '../../../../agent/facts/boot/persist.ts';
import { bootEnv } from '../../../harness/guest.ts';
import { withLibrary } from '../../../shell/shells.ts';

const args = suite('hasNoEfiRuntime');
args('the last of noefi and efi= takes effect', () => {
  for (const words of [
    'noefi',
    'efi=noruntime',
    'efi=debug,noruntime',
    'efi=runtime noefi',
    'noefi efi=debug',
  ]) {
    assert.is(hasNoEfiRuntime(words.split(' ')), true, words);
  }
  for (const words of ['', 'efi=runtime', 'noefi efi=runtime', 'efi=old_map', 'noefi2', 'efi=noruntimes']) {
    assert.is(hasNoEfiRuntime(words.split(' ')), false, words);
  }
});
args.run();

const ofVar = {
  target: '/var',
  lower: '/run/immutafs/lower',
  upper: '/run/var/upper',
  work: '/run/var/work',
};

const layers = suite('layersOf');
layers('without a boot.env: /var, with no state', () =>
  assert.equal(layersOf(undefined), [{ ...ofVar, state: '' }]),
);
layers('/var first, then the targets of late boot; the last line of a target takes effect', () => {
  const late = 'LAYER=/var/log begun\nLAYER=/var/lib/my data overlay\nLAYER=/var/log overlay\nLAYER=none\n';
  const below = (target: string, name: string) => ({
    ...{ target, state: 'overlay', lower: `/run/immutafs/below/${name}` },
    ...{ upper: `/run/var/below/${name}/upper`, work: `/run/var/below/${name}/work` },
  });
  assert.equal(layersOf(parseBootEnv(bootEnv({ VAR: 'overlay' }) + late)), [
    { ...ofVar, state: 'overlay' },
    below('/var/log', 'var+log'),
    below('/var/lib/my data', 'var+lib+my data'),
  ]);
});
layers('"+" in a name is encoded, because "+" replaces "/"', () => {
  const names = layersOf(parseBootEnv(`${bootEnv()}LAYER=/var/a+b overlay\nLAYER=/var/a/b overlay\n`));
  assert.equal(
    names.slice(1).map(({ upper }) => upper),
    ['/run/var/below/var+a%2bb/upper', '/run/var/below/var+a+b/upper'],
  );
});
layers.run();

const persist = suite('PERSIST');

persist('items, of which the first one with a path counts', () => {
  assert.equal(persistItems({ PERSIST: ' /a/b:exec,dev  /c /a/b' }), [
    { path: '/a/b', options: ['exec', 'dev'] },
    { path: '/c', options: [] },
  ]);
  assert.equal(persistItems({ PERSIST: '' }), []);
});

persist('the names in the store are those of the boot scripts', () => {
  for (const path of ['/a', '/var/lib/x', '/a-b/c_d.e', '/']) {
    const lines = '. units/persist-rules.sh; name_in_store "$1"; printf %s "$kept_name"';
    assert.is(nameInStore(path), withLibrary(['dash'], lines, path));
  }
});

persist('records', () => {
  const record = (text: string) =>
    readPathRecord({ readRecord: () => text }, '/r', 'persist-directory', ['kept', 'failed']);
  assert.equal(record('STATE=failed\nREASON=a=b\nREMEDY=c\n'), {
    state: 'failed',
    reason: 'a=b',
    remedy: 'c',
  });
  assert.equal(record('STATE=kept\nREASON=\nREMEDY=\n'), { state: 'kept', reason: '', remedy: '' });
  for (const bad of ['', 'STATE=x\nREASON=\nREMEDY=\n', 'STATE=kept\n', 'STATE=kept\nREASON=\nREMEDY=\nX=\n'])
    assert.throws(() => record(bad), /^\/r: not a record/);
});

persist.run();
