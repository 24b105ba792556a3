/** Tests that `prepare --move-state` and its --undo can be killed at each of their points and continued in the same boot. */
import { testKills } from '../harness/move-points.ts';

testKills('killed', '');
