import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startAgent } from './support/agent.ts';
import { endAll } from './support/program.ts';
import { startRemote, storedField } from './support/remote.ts';
import { startRsyslog, storedMessages } from './support/rsyslog.ts';
import { until } from './support/until.ts';
import { enterWorld } from './support/world.ts';

enterWorld(import.meta.filename);

/** What docs/log-server.md tells an administrator to type, typed. */
const manual = suite('wire: docs/log-server.md');

const page = fs.readFileSync('docs/log-server.md', 'utf8');
const desk = '/run/desk';

manual.before(() => {
  fs.cpSync('docs/log-server', desk, { recursive: true });
  fs.writeFileSync('/etc/hosts', '127.0.0.1 localhost log.example.com\n');
  type(block('Certificates'));
});
manual.before.each(() => fs.rmSync('/etc/immutafs/immutafs.conf', { force: true }));
manual.after.each(endAll);

/** The commands of a section. */
function block(section: string): string {
  const [, rest = ''] = page.split(`\n## ${section}\n`);
  const [, commands] = /^[^#]*?\n```sh\n(.*?)```/s.exec(rest) ?? [];
  if (commands === undefined) throw new Error(`no commands in ${section}`);
  return commands;
}

/** But for what the machine has already, and what a systemd would do. */
function type(commands: string): void {
  const here = commands.replace(/^(apt-get|systemctl|immutafs-agent) .*$/gm, ':');
  fs.mkdirSync('/etc/rsyslog.d', { recursive: true });
  execFileSync('sh', ['-euc', here], { cwd: desk, stdio: 'pipe' });
}

/** The user is made by the package, which is not installed here. */
const guest = () => block('The guest').replace(' -g immutafs-forward', '');

manual('RELP with TLS: what it says gives a server that takes what the guest sends', async () => {
  type(block('rsyslog, RELP with TLS'));
  await startRsyslog('/etc/rsyslog.d/immutafs.conf', 2514);
  type(guest());
  const test = startAgent('--test');
  assert.is(await test.ended, 0, test.said());
  assert.match(test.said(), /accepted/);
  await until('the entry', () => storedMessages().some(({ text }) => text.includes('forward --test')));
});

manual('journal upload: the same', async () => {
  type(block('systemd-journal-remote'));
  type(guest().replace('relp+tls://log.example.com:2514', 'journal+https://log.example.com:19532'));
  await startRemote('https');
  const test = startAgent('--test');
  assert.is(await test.ended, 0, test.said());
  await until('the entry', () => storedField('MESSAGE').some((text) => text.includes('forward --test')));
});

manual('every file that it names is there, and every file that is there is named', () => {
  const files = fs.readdirSync('docs/log-server').sort();
  const named = [...new Set(page.match(/[a-z-]+\.conf\b/g))].filter((name) => name.includes('-')).sort();
  assert.equal(named, files);
});

manual.run();
