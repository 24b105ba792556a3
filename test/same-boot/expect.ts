import * as assert from 'uvu/assert';
import { generate } from './campaign.ts';
import type { Session } from './grammar.ts';
import { type Campaign, runCampaign, triedOf } from './run.ts';

const once = { jobs: 1, shrinkMinutes: 0 };
const print = (text: string) => void process.stdout.write(text);

/** Asserts that after each session, the next boot is as the first one, and that the attacks were no empty threats. */
export async function assertSameBoot(guest: Campaign['guest'], sessions: readonly Session[]): Promise<void> {
  const results = await runCampaign({ ...once, guest, seed: 0, mayLoseData: true }, print, sessions);
  assert.is(results.length, sessions.length);
  assert.equal(
    results.flatMap(({ differences }) => differences),
    [],
  );
  for (const { codes, session } of results) {
    assert.is(codes.length, session.actions.length);
    assert.ok(triedOf(codes) > codes.length / 2, codes.join(' '));
    assert.ok(codes.filter((code) => code === 0).length > codes.length / 4, codes.join(' '));
  }
}

/**
 * Asserts that a session changes the next boot of a twin in a certain way.
 *
 * @param expected matches a line `KEY: VALUE` of a difference
 */
export async function assertDifferent(
  guest: Campaign['guest'],
  seed: number,
  actions: number,
  expected: RegExp,
): Promise<void> {
  const [result] = await runCampaign(
    // A clean boot without data takes minutes, and is not needed to find the expected difference.
    { ...once, guest, seed, mayLoseData: false },
    print,
    generate(seed, 1, actions),
  );
  assert.is(result?.outcome, 'different');
  const found = (result?.differences ?? []).map(({ key, found: value }) => `${key}: ${value}`);
  assert.ok(
    found.some((line) => expected.test(line)),
    found.join('\n'),
  );
}
