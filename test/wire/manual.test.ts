// Protocols: relp+tls, journal+https
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startAgent } from './support/agent.ts';
import { endAll } from './support/program.ts';
import { startRemote, storedField } from './support/remote.ts';
import { startRsyslog, storedMessages } from './support/rsyslog.ts';
import { until } from './support/until.ts';
import { enterNamespaces } from './support/namespaces.ts';

enterNamespaces(import.meta.filename);

/** Runs the commands of docs/log-server.md. */
const manual = suite('wire: docs/log-server.md');

const page = fs.readFileSync('docs/log-server.md', 'utf8');
const folder = '/run/files';

manual.before(() => {
  fs.cpSync('docs/log-server', folder, { recursive: true });
  fs.writeFileSync('/etc/hosts', '127.0.0.1 localhost log.example.com\n');
  runCommands(block('Certificates'));
});
manual.before.each(() => fs.rmSync('/etc/immutafs/immutafs.conf', { force: true }));
manual.after.each(endAll);

/** Returns the commands in a section. */
function block(section: string): string {
  const [, rest = ''] = page.split(`\n## ${section}\n`);
  const [, commands] = /^[^#]*?\n```sh\n(.*?)```/s.exec(rest) ?? [];
  if (commands === undefined) throw new Error(`no commands in ${section}`);
  return commands;
}

/** Runs commands, except for those that install packages or need a running systemd. */
function runCommands(commands: string): void {
  const here = commands.replace(/^(apt-get|systemctl|immutafs-agent) .*$/gm, ':');
  fs.mkdirSync('/etc/rsyslog.d', { recursive: true });
  execFileSync('sh', ['-euc', here], { cwd: folder, stdio: 'pipe' });
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

manual('the page names exactly the files in docs/log-server', () => {
  const files = fs.readdirSync('docs/log-server').sort();
  const named = [...new Set(page.match(/[a-z-]+\.conf\b/g))].filter((name) => name.includes('-')).sort();
  assert.equal(named, files);
});

manual.run();
