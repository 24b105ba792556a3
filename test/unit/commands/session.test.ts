import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Change, all, config, file } from '../../harness/changes.ts';
import { runCommand } from '../../harness/command-line.ts';
import { asUser } from '../../harness/finding.ts';
import { goodGuest, maintenanceGuest, withGuest } from '../../harness/guest.ts';

/** The agent is in the mount namespace of the guest. */
const inGuest = all(
  file('proc/1/ns/mnt', { linkTo: 'mnt:[4026531840]' }),
  file('proc/self/ns/mnt', { linkTo: 'mnt:[4026531840]' }),
);
const refused = suite('session: refused, and nothing is created');
for (const [title, change, code, message, options = {}] of [
  ['SESSION=off', config('SESSION=off\n'), 3, /SESSION is off/],
  ['a bad value of SESSION', config('SESSION=of\n'), 3, /SESSION is off/],
  [
    'in another mount namespace',
    file('proc/self/ns/mnt', { linkTo: 'mnt:[4026532000]' }),
    3,
    /another mount namespace/,
  ],
  ['not root', inGuest, 3, /must run as root/, { as: asUser }],
  ['in maintenance', inGuest, 4, /is not sealed \(mode maintenance\)/, { guest: maintenanceGuest }],
  ['--limit', inGuest, 2, /--limit takes a duration/, { argv: ['--limit', '5'] }],
  ['--size', inGuest, 2, /--size takes 1% to 99%/, { argv: ['--size', '100%'] }],
] as const satisfies readonly (readonly [string, Change, number, RegExp, object?])[])
  refused(title, async () => {
    const {
      guest: make = goodGuest,
      as = (reader) => reader,
      argv = [],
    } = options as {
      guest?: typeof goodGuest;
      as?: typeof asUser;
      argv?: string[];
    };
    const guest = make();
    all(inGuest, change)(guest);
    await withGuest(guest, async (reader, root) => {
      const ran = await runCommand(as(reader), ['session', ...argv, '--', 'true'], { root });
      assert.equal([ran.code, ran.stdout], [code, '']);
      assert.match(ran.stderr, message);
      assert.not.ok(fs.existsSync(path.join(root, 'run/immutafs/sessions')));
    });
  });
refused.run();
