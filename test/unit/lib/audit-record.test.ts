import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { AuditRecords, openEventAt, parseAuditRecord } from '../../../agent/lib/audit-record.ts';

const records = suite('records of the audit trail');

const id = (serial: number | string) => `msg=audit(1700000000.123:${serial}):`;
const login = `type=USER_LOGIN ${id(7)} pid=1`;

records('the type, the time and the serial number are read', () => {
  const record = { type: 'USER_LOGIN', time: '1700000000123000', serial: '7' };
  assert.equal(parseAuditRecord(login), record);
  assert.equal(parseAuditRecord(`node=guest1 ${login}`), record);
  assert.equal(parseAuditRecord(`type=UNKNOWN[1999] ${id('18446744073709551615')} a=\xff`), {
    ...record,
    ...{ type: 'UNKNOWN[1999]', serial: '18446744073709551615' },
  });
});

for (const [title, line] of Object.entries({
  'an empty line': '',
  'another text': 'Jan 31 00:00:00 host sshd[1]: Accepted',
  'a text that contains a record': `sshd[1]: user type=USER_LOGIN ${id(7)} pid=1`,
  'an id after 512 bytes': `type=${'x'.repeat(520)} ${id(7)}`,
  'an id without a type': `${id(7)} pid=1`,
  'seconds that are no digits': `type=X msg=audit(17000x0000.123:7): a`,
  'a time with fewer digits': `type=X msg=audit(170000000.123:7): a`,
  'no fraction': `type=X msg=audit(1700000000:7): a`,
  'no serial number': `type=X msg=audit(1700000000.123:): a`,
  'a serial number with a space': `type=X msg=audit(1700000000.123: 7): a`,
  'a serial number that is too long': `type=X ${id('1'.repeat(21))} a`,
  'no time at all': 'type=X msg=audit(-): a',
  'an empty id': 'type=X msg=audit(): a',
  'no end of the id': `type=X msg=audit(1700000000.123:7`,
}))
  records(`${title} is not one`, () => assert.is(parseAuditRecord(line), undefined));

/** Texts; the last event of each begins at the mark "|". */
for (const [title, marked] of Object.entries({
  'one record': `|${login}\n`,
  'the records of one event': `type=AVC ${id(6)}\n|type=SYSCALL ${id(7)} a\ntype=PATH ${id(7)} b\n`,
  'a name of the host': `type=AVC ${id(6)}\n|node=g type=SYSCALL ${id(7)} a\nnode=g type=PATH ${id(7)} b\n`,
  'an event that ended': `type=SYSCALL ${id(7)} a\ntype=EOE ${id(7)}\n|`,
  'other lines': 'a\nb\n|',
  'other lines at the end': `${login}\nb\n|`,
}))
  records(`${title}: the last event is found`, () => {
    const text = marked.replace('|', '');
    assert.is(openEventAt(text), marked.indexOf('|'));
  });

records('an id within the text of the last record holds back no more than this record', () => {
  const before = `type=AVC ${id(6)} a\n`;
  assert.is(openEventAt(`${before}type=USER_CMD ${id(7)} cmd="${id(6)}"\n`), before.length);
});

records('records that follow each other are read as each of them alone', () => {
  const consecutive = new AuditRecords();
  const one = 'type=A msg=audit(1700000000.123:7): a';
  const lines = [
    one,
    one.replace('A', 'B'),
    one.replace(':7', ':77'),
    'text',
    one,
    one.replace('.123', '.124'),
  ];
  for (const line of [...lines, one.replace(':7)', ':7x)'), one.replace(')', ''), one])
    assert.equal(consecutive.parse(line), parseAuditRecord(line));
});

records.run();
