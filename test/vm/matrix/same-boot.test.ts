import { suite } from 'uvu';
import { generate } from '../../same-boot/campaign.ts';
import { assertDifferent, assertSameBoot } from '../../same-boot/expect.ts';

/** `npm run same-boot` runs longer campaigns, and prints a session that changes the next boot as a test for this file. */
const sameBoot = suite('generated attacks of root');

sameBoot('after a session, the next boot is as the first one', () =>
  assertSameBoot('lvm', generate(504, 1, 120)),
);

// Few actions leave a system that boots.
sameBoot('without the seal, a unit that root planted is in the next boot', () =>
  assertDifferent('unsealed', 10, 5, /^file \/etc\/systemd\/system\/planted\.service: /),
);

sameBoot.run();
