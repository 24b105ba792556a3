import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { emptyMarker, formatMarker, parseMarker } from '../../../../agent/prepare/home/progress-marker.ts';

const markers = suite('prepare home: progress marker');
for (const marker of [
  { progress: 'making', uuid: '', seconds: 0 },
  { progress: 'copying', uuid: '68f0dbf4-343f-4b2e-8199-63212c9d26fa', seconds: 1_800_000_000 },
  { progress: 'copied', uuid: '68f0dbf4-343f-4b2e-8199-63212c9d26fa', seconds: 9 },
] as const) {
  markers(`${marker.progress} is read back`, () => {
    assert.is(formatMarker(marker).length, 512);
    assert.equal(parseMarker(formatMarker(marker)), marker);
  });
}
for (const text of [
  '',
  emptyMarker,
  'immutafs home copied',
  'immutafs home eaten - 1\n',
  'immutafs home copied ../x 1\n',
  'immutafs home copied - 1\nx',
  'ximmutafs home copied - 1\n',
]) {
  markers(`no marker: ${JSON.stringify(text.slice(0, 40))}`, () => {
    assert.is(parseMarker(text), undefined);
  });
}
markers.run();
