import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseBootEnv } from '../../../../agent/facts/boot/boot-env.ts';
import { layersOf } from '../../../../agent/facts/boot/layers.ts';
import { bootEnv } from '../../../harness/guest.ts';

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
