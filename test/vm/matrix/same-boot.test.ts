import { suite } from 'uvu';
import { generate } from '../../same-boot/campaign.ts';
import { assertDifferent, assertSameBoot } from '../../same-boot/expect.ts';

/** `npm run same-boot` runs longer campaigns, and prints a session that changes the next boot as a test for this file. */
const sameBoot = suite('generated attacks of root');

/** A session that destroys no data, so that no boot without data is needed. */
const seed = 504;

sameBoot('after a session, the next boot is as the first one', () =>
  assertSameBoot('lvm', generate(seed, 1, 120)),
);

sameBoot('without the seal, the first session changes the next boot', () =>
  // The machine boots, and its fingerprint differs.
  assertDifferent('unsealed', seed, 120, /^(?!boot: )/),
);

sameBoot.run();
