// Protocols: relp, relp+tls, journal+https
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import * as assert from 'uvu/assert';
import { forwardState, startAgent, untilState } from './support/agent.ts';
import { makeCertificate, serverDirectory } from './support/certificates.ts';
import { numbered, writeJournal } from './support/journal.ts';
import { listening, start } from './support/program.ts';
import { sleep, until } from './support/until.ts';
import { startRemote, storedField } from './support/remote.ts';
import { startRsyslog, storedEntries, storedLines, storedMessages } from './support/rsyslog.ts';
import { wireSuite } from './support/wire-suite.ts';

/** Runs the commands of docs/log-server.md. */
const manual = await wireSuite(import.meta.filename, 'docs/log-server.md');

const page = fs.readFileSync('docs/log-server.md', 'utf8');
const directory = '/run/files';

manual.before(() => {
  fs.cpSync('docs/log-server', directory, { recursive: true });
  fs.writeFileSync('/etc/hosts', '127.0.0.1 localhost log.example.com\n');
  runCommands(block('Certificates'));
});
manual.before.each(() => fs.rmSync('/etc/immutafs/immutafs.conf', { force: true }));

function block(section: string): string {
  const [, rest = ''] = page.split(`\n## ${section}\n`);
  const [, commands] = /^[^#]*?\n```sh\n(.*?)```/s.exec(rest) ?? [];
  if (commands === undefined) throw new Error(`no commands in ${section}`);
  return commands;
}

/** Runs commands, except for those that install packages or need a running systemd. */
function runCommands(commands: string): void {
  const here = commands.replace(/^(apt-get|systemctl|immutafs-agent) .*$/gm, ':');
  for (const each of ['/etc/rsyslog.d', '/etc/systemd/system']) fs.mkdirSync(each, { recursive: true });
  execFileSync('sh', ['-euc', here], { cwd: directory, stdio: 'pipe' });
}

/** Returns the commands for the guest, without the group that the package creates. */
const guest = () => block('The guest').replace(' -g immutafs-forward', '');

manual('RELP with TLS: the commands set up a server that accepts the guest', async () => {
  runCommands(block('rsyslog, RELP with TLS'));
  await startRsyslog('/etc/rsyslog.d/immutafs.conf', 2514);
  runCommands(guest());
  const test = startAgent('--test');
  assert.is(await test.ended, 0, test.output());
  assert.match(test.output(), /accepted/);
  await until('the entry', () => storedMessages().some(({ text }) => text.includes('forward --test')));
});

manual('journal upload: the commands set up a server that accepts the guest', async () => {
  runCommands(block('systemd-journal-remote'));
  runCommands(guest().replace('relp+tls://log.example.com:2514', 'journal+https://log.example.com:19532'));
  await startRemote('https');
  const test = startAgent('--test');
  assert.is(await test.ended, 0, test.output());
  await until('the entry', () => storedField('MESSAGE').some((text) => text.includes('forward --test')));
});

/** Sets up the server and the guest, and runs the command of the unit for stunnel. */
async function startTunnel(): Promise<() => string> {
  runCommands(block('rsyslog, RELP with TLS'));
  runCommands(guest());
  runCommands(block('FIPS mode'));
  const unit = fs.readFileSync('/etc/systemd/system/immutafs-stunnel.service', 'utf8');
  const [, command = '', argument = ''] = /^ExecStart=(\S+) (\S+)$/m.exec(unit) ?? [];
  const tunnel = start(command, [argument]);
  await listening(2515);
  return tunnel.output;
}

manual('FIPS mode: the commands keep the settings that do not belong to TLS', () => {
  const kept = ['FORWARD_FILES=/var/log/audit/audit.log', 'FORWARD_STATE=/data/immutafs-forward'];
  const replaced = ['', '_CA', '_CERT', '_KEY', '_PEER'].map((key) => `FORWARD${key}=x`);
  fs.writeFileSync('/etc/immutafs/immutafs.conf', [...replaced, ...kept, ''].join('\n'));
  runCommands(block('FIPS mode'));
  const lines = fs.readFileSync('/etc/immutafs/immutafs.conf', 'utf8').trimEnd().split('\n');
  assert.equal(lines, [...kept, 'FORWARD=relp://127.0.0.1:2515']);
});

manual('FIPS mode: entries reach the server through stunnel, encrypted and acknowledged', async () => {
  const log = await startTunnel();
  await startRsyslog('/etc/rsyslog.d/immutafs.conf', 2514);
  writeJournal(numbered('entry', 1000));
  startAgent();
  await until('all entries', () => storedEntries().length >= 1000);
  await until('the count', () => forwardState()?.counts.acknowledged === 1000);
  assert.is(forwardState()?.target, 'relp://127.0.0.1:2515');
  assert.match(log(), /TLSv1\.[23]/);
});

manual('FIPS mode: stunnel sends nothing to a server with the certificate of another name', async () => {
  await startTunnel();
  makeCertificate({ name: 'other.example.com', file: `${serverDirectory}/server` }, directory);
  await startRsyslog('/etc/rsyslog.d/immutafs.conf', 2514);
  writeJournal(numbered('entry', 10));
  startAgent();
  await untilState('waiting');
  await sleep(1000);
  assert.is(storedLines(), 0);
  assert.is(forwardState()?.counts.acknowledged, 0);
});

manual('the page names exactly the files in docs/log-server', () => {
  const files = fs.readdirSync('docs/log-server').sort();
  const named = [...new Set(page.match(/[a-z-]+\.conf\b/g))].filter((name) => name.includes('-')).sort();
  assert.equal(named, files);
});

manual.run();
