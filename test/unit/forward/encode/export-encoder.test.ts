import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { exportEncoder } from '../../../../agent/forward/encode/export-encoder.ts';
import type { LineChunk, OutgoingMessage } from '../../../../agent/forward/stages.ts';
import { exportedFields } from '../../../wire/support/remote.ts';

const encoder = suite('export encoder: lines of log files');

const bootId = 'b'.repeat(32);
const clock = { realtime: () => 1_700_000_100_000_000, monotonic: () => 100_000_000, bootId };
const common = [
  '__REALTIME_TIMESTAMP=1700000100000000',
  '__MONOTONIC_TIMESTAMP=100000000',
  `_BOOT_ID=${bootId}`,
  '_HOSTNAME=guest1',
  'PRIORITY=6',
];

function encode(text: string, more: Partial<LineChunk> = {}): OutgoingMessage[] {
  const out: OutgoingMessage[] = [];
  const chunk: LineChunk = {
    ...{ id: 259, path: '/var/log/app.log', inode: '2049:7', offset: 1000 },
    ...{ text, terminated: true, audit: false },
  };
  exportEncoder(clock, 'guest1').encodeLines({ ...chunk, ...more }, out);
  return out;
}

/** Returns the fields of each message, as a program parses them that knows the format. */
const fieldsOf = (out: OutgoingMessage[]) =>
  exportedFields(Buffer.from(out.map(({ text }) => `__CURSOR=s=1\n${text}`).join(''), 'latin1')).map(
    (fields) => fields.slice(1),
  );

encoder('a line has the time of reading, its file and its offset', () => {
  const out = encode('hello\nworld\n');
  assert.equal(
    out.map(({ cursor }) => cursor),
    ['259:1006', '259:1012'],
  );
  const at = (offset: number) => [
    ...common,
    ...['IMMUTAFS_FILE=/var/log/app.log', 'IMMUTAFS_INODE=2049:7', `IMMUTAFS_OFFSET=${offset}`],
    ...['SYSLOG_FACILITY=16', 'SYSLOG_IDENTIFIER=app.log'],
  ];
  assert.equal(fieldsOf(out), [
    [...at(1000), 'MESSAGE=hello'],
    [...at(1006), 'MESSAGE=world'],
  ]);
});

encoder('a record of the audit trail has its own time, type and serial number', () => {
  const line = 'type=USER_LOGIN msg=audit(1700000000.123:7): pid=1';
  const [fields] = fieldsOf(encode(`${line}\n`, { path: '/var/log/audit/audit.log', audit: true }));
  assert.equal(fields?.slice(-6), [
    ...['SYSLOG_FACILITY=13', 'SYSLOG_IDENTIFIER=audit', '_AUDIT_TYPE_NAME=USER_LOGIN'],
    ...['_SOURCE_REALTIME_TIMESTAMP=1700000000123000', '_AUDIT_ID=7', `MESSAGE=${line}`],
  ]);
});

const long = 'x'.repeat(70_000) + '\xff';
for (const text of ['\xff\xfe\x80', 'a\x1db', '\x00', 'a\rb', '\x7f', 'caf\xc3\xa9', long])
  encoder(`${JSON.stringify(text.slice(0, 10))}, ${text.length} bytes: MESSAGE is unchanged`, () => {
    assert.is(fieldsOf(encode(`${text}\n`))[0]?.at(-1), `MESSAGE=${text}`);
  });

encoder('a tab and an empty line are unchanged', () => {
  assert.equal(
    fieldsOf(encode('a\tb\n\n')).map((fields) => fields.at(-1)),
    ['MESSAGE=a\tb', 'MESSAGE='],
  );
});

encoder('a path with a line feed adds no field', () => {
  const [fields] = fieldsOf(encode('a\n', { path: '/var/log/x\n_UID=0\n.log' }));
  assert.ok(fields?.includes('IMMUTAFS_FILE=/var/log/x\n_UID=0\n.log'));
  assert.ok(fields?.includes('SYSLOG_IDENTIFIER=x\n_UID=0\n.log'));
  assert.is(fields?.includes('_UID=0'), false);
});

encoder('a line with text of the format adds no field', () => {
  const [fields, ...others] = fieldsOf(encode('type=X\x1d msg=audit(1700000000.123:7):\n', { audit: true }));
  assert.is(others.length, 0);
  assert.ok(fields?.includes('_AUDIT_TYPE_NAME=X\x1d'));
});

encoder('only an incomplete last line is marked', () => {
  const marked = (terminated: boolean) =>
    fieldsOf(encode('a\nb', { terminated })).map((fields) => fields.includes('IMMUTAFS_INCOMPLETE=1'));
  assert.equal(marked(false), [false, true]);
});

for (const feed of ['\n', '\u010a', '\r', '\u2028'])
  encoder(`a notice with ${JSON.stringify(feed)} in the name of a file adds no field`, () => {
    const out: OutgoingMessage[] = [];
    const name = `caf\u00e9${feed}_UID=0${feed}${feed}_PID=1`;
    exportEncoder(clock, 'guest1').encodeNotice(`5 bytes of ${name} are lost`, out);
    const sent = Buffer.from(out.map(({ text }) => text).join(''), 'latin1');
    assert.is(sent.filter((byte) => byte === 10).length, 8);
    const all = exportedFields(Buffer.concat([Buffer.from('__CURSOR=s=1\n'), sent]));
    assert.is(all.length, 1);
    const message = Buffer.from(all[0]?.at(-1) ?? '', 'latin1').toString();
    const shown = feed === '\u010a' ? feed : '?';
    assert.is(message, `MESSAGE=5 bytes of ${name.replaceAll(feed, shown)} are lost`);
  });

encoder.run();
