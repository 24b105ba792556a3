import { suite } from 'uvu';
import {
  assertConfined,
  assertOrdinary,
  assertWorking,
  type Results,
  runConfined,
} from '../harness/confinement.ts';

/** Earlier versions of systemd are tested in `long/earlier-systemd.test.ts`. */
const confinement = suite('the services of the package are confined');

let results: Results = {};

confinement.before(async () => {
  results = await runConfined();
});

confinement('an intruder in the place of the forwarder can write only to its state directory', () =>
  assertConfined(results),
);

confinement('in an ordinary service of the same user, each of these attempts succeeds', () =>
  assertOrdinary(results),
);

confinement('the service of the check finds what the command finds, and the forwarder connects', () =>
  assertWorking(results),
);

confinement.run();
