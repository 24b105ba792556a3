import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { generate } from '../../same-boot/campaign.ts';
import type { Session } from '../../same-boot/grammar.ts';
import { runCampaign } from '../../same-boot/run.ts';

/** `npm run same-boot` runs longer campaigns, and prints a session that changes the next boot as a test for this file. */
const sameBoot = suite('generated attacks of root');

const print = (text: string) => void process.stdout.write(text);
/** A session that destroys no data, so that no boot without data is needed. */
const usual = { seed: 504, actions: 120, shrinkMinutes: 0 } as const;

async function assertSameBoot(sessions: readonly Session[]): Promise<void> {
  const results = await runCampaign({ ...usual, twin: 'none', sessions: sessions.length }, print, sessions);
  assert.is(results.length, sessions.length);
  assert.equal(
    results.flatMap(({ differences }) => differences),
    [],
  );
  for (const { codes, session } of results) {
    assert.is(codes.length, session.actions.length);
    assert.ok(codes.filter((code) => code === 0).length > codes.length / 4, codes.join(' '));
  }
}

sameBoot('after a session, the next boot is as the first one', () =>
  assertSameBoot(generate(usual.seed, 1, usual.actions)),
);

sameBoot('without the seal, the first session changes the next boot', async () => {
  const [result] = await runCampaign({ ...usual, twin: 'unsealed', sessions: 1 }, print);
  assert.is(result?.outcome, 'different');
});

sameBoot.run();
