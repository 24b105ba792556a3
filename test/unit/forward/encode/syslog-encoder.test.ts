import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SyslogEncoder } from '../../../../agent/forward/encode/syslog-encoder.ts';
import type { LineChunk, OutgoingMessage } from '../../../../agent/forward/stages.ts';
import { type LogEntry, item } from '../../../../agent/lib/journal-export/entry.ts';

const syslog = suite('syslog encoder');

const bootId = 'b'.repeat(32);
const clock = { realtime: () => 1_700_000_100_000_000, monotonic: () => 100_000_000, bootId };
const createEncoder = (): SyslogEncoder => new SyslogEncoder(8000, clock, 'guest1');

/** Parses an entry in the format of journalctl's output. */
function entry(fields: readonly string[], n = 0): LogEntry {
  const cursor = `s=${'a'.repeat(32)};i=${n.toString(16)}`;
  const times = [
    `__REALTIME_TIMESTAMP=17000000${10 + (n % 3)}123456`,
    `__MONOTONIC_TIMESTAMP=${10 + (n % 3)}123456`,
  ];
  const text = [`__CURSOR=${cursor}`, ...times, `_BOOT_ID=${bootId}`, ...fields, '', ''].join('\n');
  return item('entry', cursor, text);
}

function encode(encoder: SyslogEncoder, fields: readonly string[], n = 0): string[] {
  const out: OutgoingMessage[] = [];
  encoder.encode(entry(fields, n), out);
  return out.map((message) => message.text);
}

syslog('encodes every field of a syslog message', () => {
  const fields = [
    ...['SYSLOG_FACILITY=3', 'PRIORITY=4', '_HOSTNAME=guest2', 'SYSLOG_IDENTIFIER=sshd', '_PID=7', '_COMM=x'],
    ...['MESSAGE=it said "no"', '_SOURCE_REALTIME_TIMESTAMP=1', '_SYSTEMD_UNIT=a"b.service', '_UID=0'],
  ];
  assert.equal(encode(createEncoder(), fields), [
    '<28>1 2023-11-14T22:13:30.123456Z guest2 sshd 7 - ' +
      `[journal@32473 cursor="s=${'a'.repeat(32)};i=0" boot="${bootId}" unit="a\\"b.service" uid="0"] it said "no"`,
  ]);
});

for (const [what, fields, head, data, text] of [
  [
    'from the kernel, before the host name was set',
    ['MESSAGE=a', '_TRANSPORT=kernel', 'PRIORITY=3', '_COMM=x', '_HOSTNAME=localhost'],
    ...(['<3>1 TIME guest1 kernel - - ', '', 'a'] as const),
  ],
  [
    'with everything',
    [
      ...['MESSAGE=[x="1"] <5>', 'SYSLOG_FACILITY=10', 'PRIORITY=4', 'SYSLOG_PID=77', '_PID=1'],
      ...[`SYSLOG_IDENTIFIER=a b\xe9?${'x'.repeat(60)}`, `MESSAGE_ID=${'f'.repeat(32)}`, '_UID=1000'],
    ],
    `<84>1 TIME guest1 a_b_?${'x'.repeat(43)} 77 ${'f'.repeat(32)} `,
    ...([' uid="1000"', '[x="1"] <5>'] as const),
  ],
  ['with invalid numbers', ['PRIORITY=99', 'SYSLOG_FACILITY=-1'], '<14>1 TIME guest1 - - - ', '', ''],
] as const)
  syslog(`an entry ${what}`, () => {
    const [message = ''] = encode(createEncoder(), fields);
    const cursor = `cursor="s=${'a'.repeat(32)};i=0"`;
    assert.is(
      message.replace(/ \d{4}-\S+Z /, ' TIME '),
      `${head}[journal@32473 ${cursor} boot="${bootId}"${data}] ${text}`,
    );
  });

syslog('cached headers do not change a message', () => {
  const one = (key: string, ...values: string[]) =>
    fc.constantFrom(...values.map((value) => `${key}=${value}`), `OTHER=${key}`);
  const fields = fc
    .tuple(
      one('MESSAGE', '', 'hello', ' _PID=3', 'MESSAGE=x'),
      one('PRIORITY', '0', '6', '99'),
      one('SYSLOG_IDENTIFIER', 'a', 'b b'),
      one('_TRANSPORT', 'kernel', 'journal', 'driver'),
      one('_HOSTNAME', 'localhost', 'guest2'),
      one('_SOURCE_REALTIME_TIMESTAMP', '1', '22', '333'),
      one('_PID', '1', '2'),
      one('_UID', '0', ']'),
      one('MESSAGE', 'a second one'),
    )
    .chain((all) => fc.shuffledSubarray(all));
  const shared = createEncoder();
  const kinds = new Set<string>();
  fc.assert(
    fc.property(fields, fc.nat(5), (each, n) => {
      const [message = ''] = encode(shared, each, n);
      assert.equal([message], encode(createEncoder(), each, n));
      kinds.add(message);
    }),
    { numRuns: 4000 },
  );
  assert.ok(kinds.size > 500, `${kinds.size} kinds`);
});

syslog('marks an entry that was logged before the clock was set', () => {
  const out: OutgoingMessage[] = [];
  const text = `__CURSOR=c\n__REALTIME_TIMESTAMP=1123456\n__MONOTONIC_TIMESTAMP=99\n_BOOT_ID=${bootId}\nMESSAGE=m\n\n`;
  createEncoder().encode(item('entry', 'c', text), out);
  const expected = `[timeQuality isSynced="0"][journal@32473 cursor="c" boot="${bootId}"] m`;
  assert.equal(
    out.map((message) => message.text),
    [`<14>1 1970-01-01T00:00:01.123456Z guest1 - - - ${expected}`],
  );
});

const bytesOfLine = (text: string, more: Partial<LineChunk> = {}): OutgoingMessage[] => {
  const out: OutgoingMessage[] = [];
  const chunk: LineChunk = {
    ...{ id: 259, path: '/var/log/app.log', inode: '2049:7', offset: 1000 },
    ...{ text, terminated: true, audit: false },
  };
  createEncoder().encodeLines({ ...chunk, ...more }, out);
  return out;
};
const textsOf = (out: OutgoingMessage[]) => out.map(({ text }) => text);
const identity = `path="/var/log/app.log" inode="2049:7" boot="${bootId}"`;

syslog('a line of a log file has the time of reading, its file and its offset', () => {
  const out = bytesOfLine('hello\n\nworld\n');
  const head = `<134>1 2023-11-14T22:15:00.000000Z guest1 app.log - - [file@32473 ${identity}`;
  assert.equal(textsOf(out), [
    `${head} offset="1000"] hello`,
    `${head} offset="1006"] `,
    `${head} offset="1007"] world`,
  ]);
  assert.equal(
    out.map(({ cursor }) => cursor),
    ['259:1006', '259:1007', '259:1013'],
  );
});

syslog('a record of the audit trail has its own time, and its type as MSGID', () => {
  const path = '/var/log/audit/audit.log';
  const line = 'type=USER_LOGIN msg=audit(1700000000.123:7): a\x1dUID="root" \xff';
  assert.equal(textsOf(bytesOfLine(`${line}\n`, { path, audit: true })), [
    '<110>1 2023-11-14T22:13:20.123000Z guest1 audit - USER_LOGIN ' +
      `[file@32473 path="${path}" inode="2049:7" boot="${bootId}" offset="1000"] ${line}`,
  ]);
});

syslog('a path cannot end the structured data, and a type cannot end the MSGID', () => {
  const path = '/var/log/a"] b\\ c.log';
  const [message = ''] = textsOf(
    bytesOfLine('type=A B msg=audit(1700000000.123:7): a\n', { path, audit: true }),
  );
  assert.match(message, 'path="/var/log/a\\"\\] b\\\\ c.log" inode');
  assert.match(message, ' audit - A_B [file@');
  const [other = ''] = textsOf(bytesOfLine('a\n', { path }));
  assert.match(other, ` guest1 a"]_b\\_c.log - - [file@`);
});

syslog('only an incomplete last line of a log file is marked', () => {
  const marked = (terminated: boolean, text: string) =>
    textsOf(bytesOfLine(text, { terminated })).map((message) => message.includes(' incomplete="1"] '));
  assert.equal(marked(false, 'a\nb'), [false, true]);
  assert.equal(marked(true, 'a\nb\n'), [false, false]);
});

syslog('a long line of a log file arrives in parts, of which the last one has the position', () => {
  const line = Array.from({ length: 20_000 }, (_, n) => String(n % 10)).join('');
  const out = bytesOfLine(`${line}\n`, { path: '/var/log/audit/audit.log' });
  assert.is(out.length, 3);
  const parts = textsOf(out).map((text) => /^(.* part="(\d)\/3")\] (.*)$/.exec(text) ?? []);
  assert.equal(
    parts.map(([, , number]) => number),
    ['1', '2', '3'],
  );
  assert.is(parts.map(([, , , text]) => text).join(''), line);
  assert.ok(textsOf(out).every((text) => text.length <= 8000 && text.includes(' offset="1000" part=')));
  assert.equal(
    out.map(({ cursor, continues }) => [cursor, continues]),
    [
      ['', true],
      ['', true],
      [`259:${1000 + line.length + 1}`, undefined],
    ],
  );
});

for (const [feed, shown] of [
  ['\n', '?'],
  ['\u010a', '\u010a'],
  ['\x1b', '?'],
] as const)
  syslog(`a notice with ${JSON.stringify(feed)} in the name of a file is one line of UTF-8`, () => {
    const out: OutgoingMessage[] = [];
    createEncoder().encodeNotice(`5 bytes of /var/log/caf\u00e9${feed}<13>1 x are lost`, out);
    const [sent = ''] = textsOf(out).map((text) => Buffer.from(text, 'latin1').toString());
    assert.is(
      sent,
      `<44>1 2023-11-14T22:15:00.000000Z guest1 immutafs-agent - - - 5 bytes of /var/log/caf\u00e9${shown}<13>1 x are lost`,
    );
  });

syslog.run();
