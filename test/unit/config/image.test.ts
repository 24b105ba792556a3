import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseConfig } from '../../../agent/config/config.ts';
import { imageFile, imageText, readImage } from '../../../agent/config/image.ts';
import { systemReader } from '../../../agent/system/reader.ts';
import { inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';

const parsing = suite('the file of the image');
const good = { name: 'rhel9-web', version: '2026.11', built: '2026-03-04T05:06:07Z' };

/** Reads a text as the file of the image. */
const parseImage = (text: string) => {
  const reader = systemReader();
  return readImage({ ...reader, readIfPresent: () => text, stat: () => reader.stat('/') });
};

parsing('a written file is read back', () => {
  assert.equal(parseImage(imageText(good)), { image: good, problems: [] });
  assert.equal(parseImage(`# by hand\n\n  ${imageText(good)}`), { image: good, problems: [] });
});

const built = (time: string) => imageText({ ...good, built: time });
/** What the file contains, and what is wrong with it. */
const malformed: [string, string, string[]][] = [
  ['empty', '', [`${imageFile}: has no NAME, VERSION, BUILT`]],
  ['only a name', 'NAME=a\n', [`${imageFile}: has no VERSION, BUILT`]],
  ['an unknown key', `${imageText(good)}COLOR=red\n`, [`${imageFile}:4: COLOR: unknown key, ignoring it`]],
  ['no assignment', `rhel9\n${imageText(good)}`, [`${imageFile}:1: not KEY=value, ignoring the line`]],
  [
    'a key twice',
    `${imageText(good)}NAME=rhel9-web\n`,
    [`${imageFile}:4: NAME: given twice, the later line counts`],
  ],
  [
    'a carriage return',
    'NAME=a\r\nVERSION=1\nBUILT=2026-03-04T05:06:07Z\n',
    [`${imageFile}:1: contains a control character, ignoring the line`, `${imageFile}: has no NAME`],
  ],
  [
    'a bad time',
    built('yesterday'),
    [`${imageFile}:3: BUILT: must be a time such as 2026-03-04T05:06:07Z (RFC 3339), using nothing`],
  ],
  ['too large', `#${'x'.repeat(65536)}`, [`${imageFile}: larger than 65536 bytes, ignoring it`]],
];
for (const [name, text, problems] of malformed)
  parsing(`${name}: a warning with the line`, () => assert.equal(parseImage(text).problems, problems));

parsing('a valid value is not lost by another bad line, and a bad value is not shown', () => {
  assert.equal(parseImage(`${imageText(good)}COLOR=red\n`).image, good);
  assert.is(parseImage(built('yesterday')).image, undefined);
});

for (const time of ['2026-03-04T05:06:07.123Z', '2024-02-29T23:59:60z', '2026-03-04t05:06:07+05:30'])
  parsing(`${time} is a time`, () => assert.is(parseImage(built(time)).image?.built, time));
for (const time of [
  '2026-03-04',
  '2026-03-04T05:06:07',
  '2026-02-30T05:06:07Z',
  '2026-03-04T24:00:00Z',
  '2026-03-04T05:06:07+24:00',
])
  parsing(`${time} is no time`, () => assert.is(parseImage(built(time)).image, undefined));
for (const name of ['', ' a', '-a', 'a b', 'a"b', 'a\xe9', 'a'.repeat(129)])
  parsing(`${JSON.stringify(name)} is no name`, () =>
    assert.is(parseImage(imageText({ ...good, name })).image, undefined),
  );

parsing('the corpus of the configuration: both files reject the same lines', () => {
  const folder = path.join(import.meta.dirname, '../../fixtures/config');
  const ofLines = (problems: readonly string[]) =>
    problems.filter((text) => /not KEY=value|control character|larger than/.test(text));
  let rejected = 0;
  for (const name of fs.readdirSync(folder).filter((file) => file.endsWith('.conf'))) {
    const text = fs.readFileSync(path.join(folder, name), 'latin1');
    const expected = parseConfig(text).problems.map(
      ({ line, reason }) => `${imageFile}${line > 0 ? `:${line}` : ''}: ${reason}`,
    );
    assert.equal(ofLines(parseImage(text).problems), ofLines(expected), name);
    rejected += ofLines(expected).length;
  }
  assert.ok(rejected > 5, String(rejected));
});

parsing('no file names no image; a directory or a dangling link is a warning', () =>
  inTemporaryDirectory((root) => {
    const reader = systemReader({ root });
    assert.equal(readImage(reader), { image: undefined, problems: [] });
    writeFiles(root, { 'etc/immutafs/image/x': '' });
    assert.match(
      readImage(reader).problems.join(),
      /^\/etc\/immutafs\/image: illegal operation on a directory, ignoring it$/,
    );
    fs.rmSync(path.join(root, 'etc/immutafs/image'), { recursive: true });
    writeFiles(root, { 'etc/immutafs/image': { linkTo: 'absent' } });
    assert.equal(readImage(reader).problems, [`${imageFile}: no such file or directory, ignoring it`]);
  }),
);

parsing.run();
