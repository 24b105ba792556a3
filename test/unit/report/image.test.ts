/** The image of a guest (/etc/immutafs/image) in each format of the report. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { exitCode } from '../../../agent/report/report.ts';
import { formatPrometheus } from '../../../agent/report/prometheus.ts';
import { formatText } from '../../../agent/report/text.ts';
import { evaluateFixture, goodGuest } from '../../harness/guest.ts';

const view = { all: false, color: false, columns: 100 };
const reportWith = (text?: string) => {
  const guest = goodGuest();
  if (text !== undefined) guest.files['etc/immutafs/image'] = text;
  return evaluateFixture(guest);
};

const shown = suite('the image in the report');

shown('named: in the text, in JSON and as a metric', async () => {
  const report = await reportWith('NAME=rhel9-web\nVERSION=2026.11\nBUILT=2026-03-04T05:06:07Z\n');
  assert.equal(report.image, { name: 'rhel9-web', version: '2026.11', built: '2026-03-04T05:06:07Z' });
  assert.equal(report.imageWarnings, []);
  assert.match(formatText(report, view), '\nImage rhel9-web 2026.11, built at 2026-03-04T05:06:07Z\n');
  assert.match(formatPrometheus(report), 'immutafs_image_info{name="rhel9-web",version="2026.11"} 1\n');
});

shown('not named: nowhere', async () => {
  const report = await reportWith();
  assert.is(report.image, null);
  assert.equal(report.imageWarnings, []);
  assert.not.match(formatText(report, view), /^(Image|Warning)/m);
  assert.not.match(formatPrometheus(report), 'image_info');
});

shown('malformed: a warning, and the same exit code', async () => {
  const report = await reportWith('NAME=rhel9 web\nVERSION=1\nBUILT=2026-03-04T05:06:07Z\n');
  assert.is(report.image, null);
  assert.match(
    formatText(report, { ...view, columns: 300 }),
    /^Warning: \/etc\/immutafs\/image:1: NAME: must be at most 128/m,
  );
  assert.not.match(formatPrometheus(report), 'image_info{');
  assert.is(exitCode(report), 0);
});

shown.run();
