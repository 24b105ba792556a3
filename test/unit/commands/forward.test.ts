import { once } from 'node:events';
import net from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { run } from '../../../agent/cli.ts';
import { type ForwardState, forwardStateFile } from '../../../agent/facts/forwarder.ts';
import { SystemError } from '../../../agent/lib/errors.ts';
import type { SystemReader } from '../../../agent/system/reader.ts';
import { systemWriter } from '../../../agent/system/writer.ts';
import { evaluateGuest } from '../../../agent/evaluate.ts';
import { runCommand } from '../../harness/command-line.ts';
import { goodGuest, withGuest, evaluateFixture } from '../../harness/guest.ts';
import { exitCode } from '../../../agent/report/report.ts';

const conf = '/etc/immutafs/immutafs.conf';
const target = 'FORWARD=relp+tls://127.0.0.1:1\n';

/** A configuration, or the errno with which it cannot be read, and the expected message. */
const stopping: Record<string, [string, string]> = {
  'a CA file without an absolute path': [`${target}FORWARD_CA=ca.pem\n`, `line 2: FORWARD_CA: must be`],
  'a repeated peer': [`${target}FORWARD_PEER=a\nFORWARD_PEER=\n`, `line 3: FORWARD_PEER: given twice`],
  'an unknown key': [`${target}FORWARD_CAFILE=/ca.pem\n`, `line 2: FORWARD_CAFILE: unknown key`],
  'an unknown key that begins like FORWARD': [
    `${target}FORWARDER_CERTS=/a\n`,
    'line 2: FORWARDER_CERTS: unknown key',
  ],
  'a key in lower case': [`${target}forward_ca=/ca.pem\n`, 'line 2: not KEY=value'],
  'a server without a port': ['FORWARD=relp://log\n', 'RELP has no registered port: add one'],
  'a port that does not exist': ['FORWARD=relp://log:99999\n', 'the port must be from 1 to 65535'],
  'a misspelt FORWARD': ['FORWRAD=relp://log:1\n', `line 1: FORWRAD: unknown key`],
  'spaces around the equals sign': [`${target}FORWARD_CA = /ca.pem\n`, `line 2: not KEY=value`],
  'a control character': [`${target}FORWARD_PEER=log\x1b\n`, `line 2: contains a control character`],
  'an invalid target': ['FORWARD=relp:log\n', `line 1: FORWARD: must be`],
  'a file that is too large': [`${target}${'#'.repeat(70_000)}`, `larger than 65536 bytes`],
  'a file without read permission': ['EACCES', `no, ignoring it`],
  'a file that cannot be read': ['EIO', `no, ignoring it`],
};

const misconfigured = suite('forward: a configuration that stops the forwarder');

function withConfig<T>(text: string, action: (reader: SystemReader, root: string) => Promise<T>): Promise<T> {
  const guest = goodGuest();
  const code = text === 'EACCES' || text === 'EIO' ? text : '';
  guest.files[conf.slice(1)] = code === '' ? text : '';
  return withGuest(guest, (reader, root) => {
    const read: SystemReader['read'] = (file, limit) => {
      if (code !== '' && file === conf) throw new SystemError(`${conf}: no`, code);
      return reader.read(file, limit);
    };
    return action({ ...reader, read, readIfPresent: read }, root);
  });
}

const forward = (text: string, ...options: string[]) =>
  withConfig(text, (reader) => runCommand(reader, ['forward', ...options]));

for (const [title, [text, expected]] of Object.entries(stopping)) {
  misconfigured(`${title}: exit 2, with the reason`, async () => {
    for (const options of [[], ['--test']]) {
      const { code, stderr } = await forward(text, ...options);
      assert.is(code, 2);
      assert.match(stderr, expected);
    }
  });

  misconfigured(`${title}: forward-healthy fails, and status exits with 2`, async () => {
    const report = await withConfig(text, (reader) => evaluateGuest(reader));
    const finding = report.checks.find(({ id }) => id === 'forward-healthy');
    assert.is(finding?.status, 'fail');
    assert.match(finding?.observed ?? '', expected);
    assert.is(exitCode(report), 2);
  });
}

for (const [title, text] of Object.entries({
  'a bad value of another key': 'USAGE_WARN=much\n',
  'a repeated other key': 'MODE=auto\nMODE=auto\n',
  'a mistyped other key': 'PERSSIST=/var/lib/a\n',
  'a line that is for no key': 'hello\n',
  'another key in lower case': 'mode = auto\n',
  'a control character in another line': 'MODE=au\x1bto\n',
  'empty TLS keys': 'FORWARD_CA=\nFORWARD_CERT=\nFORWARD_KEY=\nFORWARD_PEER=\n',
  'good TLS keys': 'FORWARD_CA=/c\u00c3\u00a4.pem\nFORWARD_PEER=log\n',
})) {
  misconfigured(`${title} does not stop it`, async () => {
    assert.equal(await forward(text), { code: 0, stdout: '', stderr: '' });
    const { checks } = await withConfig(text, (reader) => evaluateGuest(reader));
    assert.is(checks.find(({ id }) => id === 'forward-healthy')?.status, 'skip');
  });
}

misconfigured('the path of the file is printed once', async () => {
  const text = 'FORWARD=relp:log\nFORWARD_CA=a\nFORWARD_CERT=b\nMOOD=good\n';
  const { stderr } = await forward(text);
  assert.is(stderr.split(conf).length, 2, stderr);
  const { checks } = await withConfig(text, (reader) => evaluateGuest(reader));
  for (const id of ['config-valid', 'forward-healthy']) {
    const finding = checks.find((check) => check.id === id);
    assert.is(finding?.subject, conf);
    assert.not.match(finding?.observed ?? '', conf);
    assert.match(finding?.observed ?? '', /line 1: FORWARD: .*; line 2: FORWARD_CA: /);
  }
});

misconfigured('another failed required check takes precedence: exit 1', async () => {
  const report = await withConfig(`${target}FORWARD_CA=ca.pem\n`, (reader) =>
    evaluateGuest({ ...reader, tryWrites: (directories) => Promise.resolve(directories.map(() => 'OK')) }),
  );
  assert.is(exitCode(report), 1);
});

misconfigured('a dangling link does not count as a missing configuration', async () => {
  const guest = goodGuest();
  guest.files[conf.slice(1)] = { linkTo: 'nowhere' };
  const { checks } = await evaluateFixture(guest);
  assert.is(checks.find(({ id }) => id === 'config-valid')?.status, 'fail');
  assert.is(checks.find(({ id }) => id === 'forward-healthy')?.status, 'fail');
});

misconfigured.run();

const daemon = suite('forward: the daemon');

daemon('returns 0 after SIGTERM, although a connection is being established', async () => {
  const server = net.createServer((socket) => socket.on('error', () => undefined).resume());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const runSystemctl: SystemReader['run'] = () => Promise.resolve({ stdout: 'running\n', ended: 'good' });
  try {
    // The server never answers: without the signal, the attempt would take 10 s.
    const { code, state } = await withConfig(`FORWARD=relp://127.0.0.1:${port}\n`, async (reader, root) => {
      const output = { stdout: () => undefined, stderr: () => undefined, terminal: false };
      const loadWriter = () => Promise.resolve(systemWriter(root));
      const ended = run(['forward'], { ...reader, run: runSystemctl }, loadWriter, output);
      const [socket] = (await once(server, 'connection')) as [net.Socket];
      const closed = once(socket, 'close');
      process.emit('SIGTERM');
      const exit = await ended;
      await closed;
      return { code: exit, state: JSON.parse(reader.read(forwardStateFile)) as ForwardState };
    });
    assert.is(code, 0);
    assert.is(state.state, 'stopped');
  } finally {
    server.close();
  }
});

daemon.run();
