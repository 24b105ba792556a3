import { suite } from 'uvu';
import { assertRow, bootOptions, layoutOf } from '../harness/layout-boot.ts';
import { longRows } from '../harness/layout-rows.ts';
import { withAgent } from '../harness/scenario.ts';

/** The other rows are booted in `matrix/layouts.test.ts`. */
const layouts = suite('further layouts, sealed');

for (const row of longRows) {
  layouts(row.join(', '), () =>
    withAgent({ layout: layoutOf(row) }, async (guest) => {
      assertRow(await guest.boot(bootOptions(row)), row);
    }),
  );
}

layouts.run();
