import { suite } from 'uvu';
import { generate } from '../../same-boot/campaign.ts';
import { assertDifferent, assertSameBoot } from '../../same-boot/expect.ts';

/** `npm run same-boot` runs longer campaigns, and prints a session that changes the next boot as a test for this file. */
const sameBoot = suite('generated attacks of root');

/** Sessions that destroy no data, for whose loss the next boot would wait. */
const seeds = [7008, 7021, 7022];

sameBoot('after each of three sessions, the next boot is as the first one', () =>
  assertSameBoot(
    'lvm',
    seeds.flatMap((seed) => generate(seed, 1, 60)),
  ),
);

// Few actions leave a system that boots.
sameBoot('without the seal, a unit that root planted is in the next boot', () =>
  assertDifferent('unsealed', 10, 5, /^file \/etc\/systemd\/system\/planted\.service: /),
);

sameBoot.run();
