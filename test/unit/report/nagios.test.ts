import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formatNagios, nagiosError, nagiosState } from '../../../agent/report/nagios.ts';
import type { Report, Verdict } from '../../../agent/report/report.ts';
import { runCommand, runIn } from '../../harness/command-line.ts';
import { type Guest, bootEnv, goodGuest, maintenanceGuest, withGuest } from '../../harness/guest.ts';
import { finding, forward, sample } from '../../harness/sample-report.ts';

/** Parses a line as Nagios does: up to the first vertical bar is text, the rest is performance data. */
function parse(output: string): { text: string; data: Record<string, string> } {
  assert.match(output, /^[^\n]*\n$/);
  assert.ok(Buffer.byteLength(output) <= 4096, `${Buffer.byteLength(output)} bytes`);
  const [text = '', data = '', ...more] = output.trimEnd().split('|');
  assert.equal(more, [], 'one vertical bar');
  const pairs = data.split(' ').filter((pair) => pair !== '');
  for (const pair of pairs) assert.match(pair, /^[a-z_]+=\d+(\.\d+)?(B|s|c)?;;;0;\d*$/);
  return {
    text: text.trimEnd(),
    data: Object.fromEntries(pairs.map((pair) => pair.split('=') as [string, string])),
  };
}

const good: Report = { ...sample, verdict: 'sealed', enforcement: 'host', checks: [finding('pass')] };

const states = suite('status --nagios: the state');
for (const [verdict, state] of Object.entries({
  sealed: 'OK',
  unenforced: 'WARNING',
  rehearsal: 'WARNING',
  maintenance: 'WARNING',
  off: 'WARNING',
  failed: 'CRITICAL',
  unknown: 'UNKNOWN',
})) {
  states(`${verdict}: ${state}`, () => {
    const report = { ...good, verdict: verdict as Verdict };
    assert.is(nagiosState(report), state);
    assert.match(
      parse(formatNagios(report)).text,
      new RegExp(`^IMMUTAFS ${state} - ${verdict.toUpperCase()}: `),
    );
  });
}
states('a required check that warns is a WARNING, an advisory check that warns is not', () => {
  const advisory = { ...good, checks: [finding('warn', 'advisory', 'footholds')] };
  assert.is(nagiosState(advisory), 'OK');
  assert.is(parse(formatNagios(advisory)).data['checks_warning'], '1;;;0;');
  const required = { ...good, checks: [finding('warn', 'required', 'var-usage')] };
  assert.is(nagiosState(required), 'WARNING');
  assert.match(parse(formatNagios(required)).text, 'var-usage (warn): seen');
});
states('a warning does not improve a failure', () => {
  const checks = [finding('warn', 'required', 'var-usage'), finding('fail', 'required', 'root-readonly')];
  const report: Report = { ...good, verdict: 'failed', checks };
  assert.is(nagiosState(report), 'CRITICAL');
  assert.match(parse(formatNagios(report)).text, /root-readonly \(fail\): seen; var-usage \(warn\): seen$/);
});
states.run();

const output = suite('status --nagios: the line');
output('the values that are known are performance data with unit, minimum and maximum', () => {
  assert.equal(parse(formatNagios({ ...sample, forward })).data, {
    checks_failed: '1;;;0;',
    checks_error: '1;;;0;',
    checks_warning: '1;;;0;',
    footholds: '0;;;0;',
    impostors: '0;;;0;',
    var_used: '12582912B;;;0;268435456',
    var_inodes_used: '1000;;;0;204800',
    forward_lag: '2.5s;;;0;',
    forward_lag_entries: '7;;;0;',
    forward_lost: '3c;;;0;',
  });
});
output(
  'a vertical bar, a line feed or a control character in a finding does not forge performance data',
  () => {
    const observed = 'a | footholds=0\nIMMUTAFS OK - fine\r\x1b[2K|\u2028 b';
    const checks = [{ ...finding('fail', 'required', 'root-readonly'), observed }];
    const { text, data } = parse(formatNagios({ ...good, verdict: 'failed', checks, footholds: [] }));
    assert.match(text, 'a / footholds=0?IMMUTAFS OK - fine??[2K/? b');
    assert.is(data['checks_failed'], '1;;;0;');
  },
);
for (const [title, unit] of [
  ['ASCII', 'x'],
  ['two bytes a character', 'ß'],
  ['surrogate pairs', '😀'],
  ['unpaired surrogates', '\ud83d'],
] as const) {
  output(`a long text is cut, the performance data is complete: ${title}`, () => {
    const checks = [{ ...finding('fail', 'required', 'root-readonly'), observed: unit.repeat(9000) }];
    const line = formatNagios({ ...good, verdict: 'failed', checks });
    const { text, data } = parse(line);
    assert.ok(text.endsWith('...'), text.slice(-20));
    assert.ok(Buffer.byteLength(line) > 4096 - 4, 'no more is cut than necessary');
    assert.is(Buffer.from(line).toString(), line, 'no half character');
    assert.is(data['var_used'], '12582912B;;;0;268435456');
  });
}
output('an error of the agent is UNKNOWN and cannot forge performance data', () => {
  assert.equal(parse(nagiosError('no | a=1;;;0;')), { text: 'IMMUTAFS UNKNOWN - no / a=1;;;0;', data: {} });
});
output.run();

/** A sealed guest with a mount table that a process in the guest can forge. */
function failedGuest(): Guest {
  const guest = goodGuest();
  guest.files['etc/mtab'] = '';
  return guest;
}

const command = suite('status --nagios: the command');
for (const [title, guest, code, said] of [
  ['sealed', goodGuest(), 0, /^IMMUTAFS OK - SEALED: the host enforces read-only \| /],
  ['maintenance', maintenanceGuest(), 1, /^IMMUTAFS WARNING - MAINTENANCE: /],
  ['failed', failedGuest(), 2, /^IMMUTAFS CRITICAL - FAILED: .*mtab-link \(fail\): /],
] as const) {
  command(title, async () => {
    const ran = await runIn(guest, 'status', '--nagios');
    assert.equal([ran.code, ran.stderr], [code, ''], ran.stdout);
    assert.match(ran.stdout, said);
    parse(ran.stdout);
  });
}
command('an invalid configuration is in the line, not on stderr', async () => {
  const guest = goodGuest();
  guest.files['etc/immutafs/immutafs.conf'] = 'VAR_SIZE=much\n';
  const ran = await runIn(guest, 'status', '--nagios');
  assert.equal([ran.code, ran.stderr], [2, '']);
  assert.match(parse(ran.stdout).text, /config-valid \(fail\): .*VAR_SIZE/);
});
command('a hostile boot record does not break the line', async () => {
  const guest = goodGuest();
  guest.files['run/immutafs/boot.env'] = bootEnv({ MODE: 'sealed|x=1;;;0;\n' });
  const ran = await runIn(guest, 'status', '--nagios');
  parse(ran.stdout);
});
for (const argv of [
  ['status', '--nagios', '--destroy'],
  ['status', '--nagios', '--json'],
  ['status', '--nagios', '--all'],
  ['status', '--nagios', '--explain', 'a|b'],
  ['status', '--nagios', 'now|then'],
]) {
  command(`${argv.join(' ')}: a usage error is UNKNOWN, not CRITICAL`, async () => {
    const ran = await runIn(goodGuest(), ...argv);
    assert.equal([ran.code, ran.stderr], [3, '']);
    assert.match(parse(ran.stdout).text, /^IMMUTAFS UNKNOWN - ./);
  });
}
command('an agent that cannot determine the state is UNKNOWN', async () => {
  const ran = await withGuest(goodGuest(), (reader) => {
    const environment = () => {
      throw new Error('no | clock\nat all');
    };
    return runCommand({ ...reader, environment }, ['status', '--nagios']);
  });
  assert.equal([ran.code, ran.stderr], [3, '']);
  assert.match(parse(ran.stdout).text, /^IMMUTAFS UNKNOWN - no \/ clock/);
});
command.run();
