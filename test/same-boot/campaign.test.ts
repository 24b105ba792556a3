import { setTimeout } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errorOf } from '../harness/rejection.ts';
import { type Result, type WithSeries, generate, judge, runSessions, shrink } from './campaign.ts';
import { compare, describe } from './compare.ts';
import type { Fingerprint } from './fingerprint.ts';
import type { Action, Session } from './grammar.ts';
import { resumeUuid } from './guest.ts';
import { slicesOf } from './run.ts';

const campaign = suite('the campaign');

const base: Fingerprint = new Map([
  ['mount /', 'ro'],
  ['mount /home', 'nosuid'],
]);
const withoutHome: Fingerprint = new Map([['mount /', 'ro']]);
const withUnit: Fingerprint = new Map([...base, ['unit a', 'active']]);
const clean = { intact: base, lost: () => Promise.resolve(withoutHome) };
const session = (...actions: Action[]): Session => ({ actions, ending: 'reset' });

/** A guest with a defect: a file that is written after a remount outlives the boot. A format destroys /home. */
function guestWithDefect() {
  let guests = 0;
  const withSeries: WithSeries = (use) => {
    guests += 1;
    const state = new Map(base);
    return use((attack) => {
      const fingerprint = new Map(state);
      const verbs = attack?.actions.map(([verb]) => verb) ?? [];
      const remounted = verbs.indexOf('remount');
      if (remounted >= 0 && verbs.includes('write', remounted)) state.set('file /etc/planted', '644');
      if (verbs.includes('destroy')) state.delete('mount /home');
      return Promise.resolve({ fingerprint, codes: verbs.map(() => 0), seconds: 1 });
    });
  };
  return { withSeries, guests: () => guests };
}

const harmless: Action = ['mode', '/etc', '777'];
const [remount, write, destroy]: [Action, Action, Action] = [
  ['remount', '/', 'rw'],
  ['write', '/etc/fstab'],
  ['destroy', '/dev/vdb', resumeUuid],
];

async function run(all: readonly Session[]) {
  const { withSeries, guests } = guestWithDefect();
  const results: Result[] = [];
  await runSessions(withSeries, clean.lost, all, (result) => Promise.resolve(void results.push(result)));
  return { results, guests: guests() };
}

campaign('sessions without a trace share a guest, and each boot is compared', async () => {
  const { results, guests } = await run([session(harmless), session(write), session(write, remount)]);
  assert.equal(
    results.map(({ outcome, number }) => [number, outcome]),
    [
      [0, 'same'],
      [1, 'same'],
      [2, 'same'],
    ],
  );
  assert.is(guests, 1);
  assert.equal(results[2]?.earlier, [session(harmless), session(write)]);
});

campaign(
  'a difference is found, also in the last session, and the next session has a new guest',
  async () => {
    const { results, guests } = await run([
      session(remount, write),
      session(harmless),
      session(remount, harmless, write),
    ]);
    assert.equal(
      results.map(({ outcome }) => outcome),
      ['different', 'same', 'different'],
    );
    assert.equal(results[0]?.differences, [{ key: 'file /etc/planted', expected: [], found: '644' }]);
    assert.is(guests, 2);
  },
);

campaign('lost data is no difference, but the next session has a new guest', async () => {
  const { results, guests } = await run([session(destroy), session(harmless)]);
  assert.equal(
    results.map(({ outcome }) => outcome),
    ['data lost', 'same'],
  );
  assert.is(guests, 2);
});

campaign('without a clean boot that has lost data, lost data is a difference', async () => {
  assert.is((await judge(clean, withoutHome)).outcome, 'data lost');
  assert.equal(await judge({ intact: base }, withoutHome), {
    differences: [{ key: 'mount /home', expected: ['nosuid'], found: undefined }],
    outcome: 'different',
  });
  assert.is((await judge({ intact: base }, base)).outcome, 'same');
});

campaign('sessions are divided among the guests that run at a time, in order', () => {
  const all = [session(harmless), session(write), session(remount), session(destroy), session()];
  const slices = slicesOf(all, 2);
  assert.equal(
    slices.flatMap(({ part }) => part),
    all,
  );
  assert.equal(
    slices.map(({ start }) => start),
    [0, 3],
  );
  assert.is(slicesOf(all, 9).length, 5);
  assert.equal(slicesOf([], 2), []);
});

campaign('a boot that differs before an attack, or is stopped, ends the campaign', async () => {
  let boots = 0;
  // The second boot has lost data, so that the second session has a new guest, which has another unit.
  const observed = [base, withoutHome, withUnit].map((fingerprint) => ({
    fingerprint,
    codes: [],
    seconds: 1,
  }));
  const stopped = { fingerprint: { stopped: 'a panic' }, codes: [], seconds: 1 };
  const withSeries: WithSeries = (use) => use(() => Promise.resolve(observed[boots++] ?? stopped));
  const all = [session(harmless), session(harmless)];
  const run = (series: WithSeries) => errorOf(runSessions(series, clean.lost, all, () => Promise.resolve()));
  assert.match((await run(withSeries)).message, /without an attack differs \(different\)[^]*unit a/);
  assert.match((await run((use) => use(() => Promise.resolve(stopped)))).message, /was stopped: a panic/);
});

campaign('a boot that stops is a difference, except for the ends of the threat model', async () => {
  const stopped =
    'ended by poweroff; the console:\nimmutafs: / is mounted from /dev/vdd, which poses as /dev/vda2 (UUID=1)';
  assert.equal(await judge(clean, { stopped }), { differences: [], outcome: 'stopped' });
  assert.is((await judge(clean, { stopped: `${stopped}\nPLANTED` })).outcome, 'different');
  const panic = 'Kernel panic - not syncing: Attempted to kill init!';
  assert.is((await judge(clean, { stopped: panic })).outcome, 'different');
});

campaign('a comparison finds a value that changed, one that is new, and one that is missing', () => {
  const boot = new Map([
    ['mount /', 'rw'],
    ['process x', '1'],
  ]);
  assert.equal(
    compare([base], boot).map(({ key, expected, found }) => [key, expected, found]),
    [
      ['mount /', ['ro'], 'rw'],
      ['mount /home', ['nosuid'], undefined],
      ['process x', [], '1'],
    ],
  );
  assert.is(
    describe({ key: 'process x', expected: [], found: '1' }),
    'process x\n  clean: (absent)\n  found: 1',
  );
  // A value of another key, or a mixture within a value, does not count.
  assert.is(compare([withoutHome], base).length, 1);
});

campaign(
  'a session with 300 actions is shrunk to the two that matter, and to none if nothing differs',
  async () => {
    const [long] = generate(3, 1, 300);
    if (long === undefined) throw new Error('no session');
    const actions = long.actions.filter(([verb]) => verb !== 'remount' && verb !== 'write');
    const planted = {
      ...long,
      actions: [...actions.slice(0, 100), remount, ...actions.slice(100, 180), write, ...actions.slice(180)],
    };
    const { withSeries } = guestWithDefect();
    let boots = 0;
    const differs = (each: Session) =>
      withSeries(async (boot) => {
        boots += 1;
        await boot(each);
        return (await judge(clean, (await boot()).fingerprint)).outcome === 'different';
      });
    const shortest = await shrink(planted, differs, 60);
    assert.equal(
      shortest?.actions.map(([verb]) => verb),
      ['remount', 'write'],
    );
    assert.ok(boots < 120, `${boots} boots`);
    assert.is(await shrink(session(harmless), differs, 60), undefined);

    const slowly = (each: Session) => setTimeout(100).then(() => differs(each));
    const after = (await shrink(planted, slowly, 0.5))?.actions.length ?? 0;
    assert.ok(after > 2 && after <= planted.actions.length, `${after} actions after half a second`);
  },
);

campaign.run();
