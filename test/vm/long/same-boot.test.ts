import { suite } from 'uvu';
import { generate } from '../../same-boot/campaign.ts';
import { assertDifferent, assertSameBoot } from '../../same-boot/expect.ts';

/** The guests and twins that `matrix/same-boot.test.ts` does not have. */
const sameBoot = suite('generated attacks of root on other guests');

for (const guest of ['uefi', 'enforcing'] as const) {
  sameBoot(`${guest}: after a session, the next boot is as the first one`, () =>
    assertSameBoot(guest, generate(702, 1, 120)),
  );
}

for (const [twin, expected] of [
  ['impostor', /^boot: [^]*PLANTED/],
  ['persist', /^file \/etc\/systemd\/system\/planted\.service: /],
  ['variables', /^unit immutafs-check\.timer: masked/],
  // The resumed system executes the rest of the attack.
  ['resume', /^boot: [^]*sysrq: Power Off/],
] as const) {
  sameBoot(`${twin}: without this protection, a short session changes the next boot`, () =>
    assertDifferent(twin, 10, 5, expected),
  );
}

sameBoot.run();
