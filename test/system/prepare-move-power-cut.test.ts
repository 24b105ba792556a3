/** Tests that the power can be cut at each point of `prepare --move-state` and of its --undo. */
import { testKills } from '../harness/move-points.ts';

testKills('a power cut', 'reboot 2>&1');
