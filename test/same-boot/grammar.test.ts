import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { variable } from '../harness/efi.ts';
import { whileTemporaryDirectory } from '../harness/temporary.ts';
import { generate } from './campaign.ts';
import { type Action, type Session, endings, verbs } from './grammar.ts';
import { plants } from './places.ts';
import { attackText, scenarioOf, stepsOf } from './session.ts';
import { twins, withFoothold } from './twins.ts';

const grammar = suite('the grammar of the attacks');

const length = 400;
const many = generate(1, 40, length);

grammar('a seed determines the sessions, and each seed has others', () => {
  assert.equal(generate(7, 2, 50), generate(7, 2, 50));
  // The second session of a seed is the first one of the next seed, so that it can be repeated alone.
  assert.equal(generate(7, 2, 50)[1], generate(8, 1, 50)[0]);
  assert.not.equal(generate(7, 1, 50), generate(8, 1, 50));
});

grammar('each session has the number of actions, and every verb and every end occurs', () => {
  assert.ok(many.every(({ actions }) => actions.length === length));
  const used = (sessions: readonly Session[]) =>
    new Set(sessions.flatMap(({ actions }) => actions.map(([verb]) => verb)));
  assert.equal([...used(many)].sort(), Object.keys(verbs).sort());
  assert.equal([...new Set(many.map(({ ending }) => ending))].sort(), Object.keys(endings).sort());
});

grammar('most sessions leave the data in place', () => {
  const destroying = many.filter(({ actions }) =>
    actions.some(([verb]) => verb === 'destroy' || verb === 'overwrite'),
  );
  assert.ok(destroying.length < many.length * 0.8, `${destroying.length}`);
});

grammar('every action is a call with its parameters, also those with spaces and quotes', async () => {
  const actions = [
    ['act-1', "it's $HOME"],
    ['act-2', 'a b', '|'],
  ] as const;
  const text = attackText({ actions: [], ending: 'reset' });
  const calls = scriptOf(actions);
  const { stdout } = await execa('busybox', ['sh', '-c', `act() { printf '<%s>' "$@"; }\n${calls}`]);
  assert.is(stdout, "<act-1><it's $HOME><act-2><a b><|>");
  assert.not.match(text, /act 'act/);
});

grammar('busybox parses the attack of every session, and of every end', async () => {
  for (const session of [
    ...many.slice(0, 6),
    ...Object.keys(endings).map((ending) => ({ actions: [], ending })),
  ]) {
    const { attack = '' } = stepsOf(session as Session);
    await execa('busybox', ['sh', '-n'], { input: attack });
  }
  const broken = await execa('busybox', ['sh', '-n'], { input: 'act() { (', reject: false });
  assert.is.not(broken.exitCode, 0, 'the twin');
});

grammar(
  'an action that hangs is left behind; when the time is over, only the last one is tried',
  async () => {
    const actions = ['port', 'node', 'mode', 'fat'].map((verb): Action => [verb]);
    const text = attackText({ actions, ending: 'reset' });
    const [from, to] = [text.indexOf('ticks=0 since=0'), text.indexOf("{ printf 'step attack")];
    const script = text
      .slice(from, to)
      .replace(/^do_[^]*?^\}\n(?=act)/m, '')
      .replace('sleep 10', 'sleep 0.1')
      .replace('-ge 35', '-ge 8')
      .replace(/^(?=act port)/m, 'do_port() { exit 7; }; do_node() { sleep 60; }; do_mode() { :; }\n')
      .replace(/^(?=ticks=0$)/m, 'for each in 1 2 3 4 5 6 7 8; do sleep 0.15; done; act mode\n');
    const { stdout } = await execa('busybox', [
      'sh',
      '-c',
      `do_fat() { exit 3; }\n${script}printf %s "$codes"`,
    ]);
    assert.is(stdout, ' 7 142 0 -1 3');
  },
);

grammar('a variable of the firmware has its attributes and the text in UTF-16', () =>
  whileTemporaryDirectory(async (folder) => {
    const sh = verbs.variable?.sh.replaceAll('/run/efi', folder).replaceAll('./busybox', 'busybox') ?? '';
    const script = `mount() { :; }; chattr() { :; }; ${sh}`;
    await execa('busybox', ['sh', '-c', script, 'sh', 'SystemdOptions', 'systemd.mask={"a":0}']);
    const expected = variable(Buffer.from('systemd.mask={"a":0}\0', 'utf16le'));
    assert.is(await readFile(join(folder, 'SystemdOptions'), 'latin1'), expected);
  }),
);

grammar('each session of a twin ends with its attack', () => {
  const session: Session = { actions: [['port']], ending: 'reset' };
  assert.equal(withFoothold(session, { kind: 'lvm' }), session);
  assert.equal(withFoothold(session, twins.resume), { ...session, ending: 'hibernation' });
  const { actions } = withFoothold(session, twins.persist);
  assert.equal(actions, [['port'], ['write', '/etc/systemd/system/planted.service']]);
  for (const twin of Object.values(twins)) {
    for (const [verb, ...parameters] of withFoothold({ ...session, actions: [] }, twin).actions) {
      for (const [index, value] of parameters.entries())
        assert.ok(verbs[verb]?.parameters[index]?.includes(value), `${verb} ${value}`);
    }
  }
});

grammar('the attack writes the content that belongs to the path', async () => {
  const text = attackText({ actions: [], ending: 'reset' });
  const content = text.slice(text.indexOf('content() {'), text.indexOf('act() {'));
  for (const [path, expected] of plants) {
    const { stdout } = await execa('busybox', ['sh', '-c', `${content}\ncontent "$1"`, 'sh', path]);
    assert.is(stdout, expected, path);
  }
});

grammar('a session is printed as a test that has the same session', () => {
  const [session] = many;
  if (session === undefined) throw new Error('no session');
  const text = scenarioOf(session);
  const [, literal = ''] = /assertSameBoot\(\[(\{[^]*\})\]\)\);\n$/.exec(text) ?? [];
  assert.equal(JSON.parse(literal), session);
});

/** The calls of an attack. */
function scriptOf(actions: Session['actions']): string {
  const text = attackText({ actions: actions.map(([, ...rest]) => ['write', ...rest]), ending: 'reset' });
  const calls = text.split('\n').filter((line) => line.startsWith('act write '));
  return calls.map((line, index) => line.replace('act write', `act ${actions[index]?.[0] ?? ''}`)).join('\n');
}

grammar.run();
