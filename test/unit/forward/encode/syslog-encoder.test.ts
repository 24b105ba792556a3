import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { OutgoingMessage } from '../../../../agent/forward/encode/encoder.ts';
import { SyslogEncoder } from '../../../../agent/forward/encode/syslog-encoder.ts';
import type { LogEntry } from '../../../../agent/forward/reader.ts';

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
  return { kind: 'entry', cursor, text, message: undefined, cut: 0 };
}

function encode(encoder: SyslogEncoder, fields: readonly string[], n = 0): string[] {
  const out: OutgoingMessage[] = [];
  encoder.encode(entry(fields, n), out);
  return out.map((message) => message.text);
}

syslog('encodes every field of a syslog message', () => {
  const fields = [
    'SYSLOG_FACILITY=3',
    'PRIORITY=4',
    '_HOSTNAME=guest2',
    'SYSLOG_IDENTIFIER=sshd',
    '_PID=7',
    '_COMM=x',
  ];
  assert.equal(
    encode(createEncoder(), [
      ...fields,
      'MESSAGE=it said "no"',
      '_SOURCE_REALTIME_TIMESTAMP=1',
      '_SYSTEMD_UNIT=a"b.service',
      '_UID=0',
    ]),
    [
      '<28>1 2023-11-14T22:13:30.123456Z guest2 sshd 7 - ' +
        `[journal@32473 cursor="s=${'a'.repeat(32)};i=0" boot="${bootId}" unit="a\\"b.service" uid="0"] it said "no"`,
    ],
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
  createEncoder().encode({ kind: 'entry', cursor: 'c', text, message: undefined, cut: 0 }, out);
  const expected = `[timeQuality isSynced="0"][journal@32473 cursor="c" boot="${bootId}"] m`;
  assert.equal(
    out.map((message) => message.text),
    [`<14>1 1970-01-01T00:00:01.123456Z guest1 - - - ${expected}`],
  );
});

syslog.run();
