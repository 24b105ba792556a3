import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { commands } from '../../boot/commands.ts';

/*
 * The time limits of the units. A limit ends only what hangs: a host at a tenth of its speed keeps each limit, or what
 * happens when the limit expires does no harm.
 */
const test = suite('time limits');

const slowness = 10;

/** What is limited takes `usual` seconds on an idle host at most, or `expired` says why the end of it does no harm. */
type Limit = { usual: number } | { expired: string };

const limits: Record<string, Limit> = {
  'units/immutafs-check.service JobTimeoutSec': { expired: 'immutafs-check.timer runs the check' },
  // As long as on an overloaded host; a few seconds otherwise.
  'units/immutafs-check.service TimeoutStartSec': { usual: 60 },
  'units/immutafs-drift.service TimeoutStartSec': { usual: 60 },
  'units/immutafs-forward-state.service TimeoutStartSec': { usual: 2 },
  // `forward` has its own limits; what is not acknowledged by then is counted in its last message.
  'units/immutafs-forward.service TimeoutStopSec': { usual: 4 },
  // `identity` has a limit of its own, of 30 s for the answer of the host.
  'units/immutafs-identity.service TimeoutStartSec': { usual: 3 },
  'units/immutafs-mount-options@.service TimeoutStartSec': { usual: 1 },
  'units/immutafs-mount@.service TimeoutStartSec': { usual: 2 },
  'units/immutafs-move.service TimeoutStartSec': { expired: 'the next maintenance boot goes on' },
  'units/immutafs-move-begin.service TimeoutStartSec': { usual: 1 },
  // Writing the journal to the disk.
  'units/immutafs-move-end.service TimeoutStartSec': { usual: 5 },
  'units/immutafs-persist.service TimeoutStartSec': { usual: 60 },
  'units/immutafs-persist@.service TimeoutStartSec': { usual: 60 },
  'units/immutafs-persist@.service TimeoutStopSec': {
    expired: 'the path is not kept in this boot, which is reported',
  },
  'units/immutafs-rehearsal-limit.service TimeoutStartSec': { expired: '0: there is no limit' },
  'units/immutafs-rehearsal.service TimeoutStopSec': { usual: 2 },
  'units/immutafs-scratch-device.service TimeoutStartSec': { usual: 5 },
  'units/immutafs-scratch-device.service TimeoutStopSec': {
    expired: 'only for a command that has been killed',
  },
  'units/immutafs-scratch-discard.service TimeoutStartSec': { expired: 'the next boot discards the rest' },
  'units/immutafs-scratch-discard.service TimeoutStopSec': {
    expired: 'only for a command that has been killed',
  },
  'units/immutafs-scratch-trim.service TimeoutStartSec': { expired: 'the space stays allocated on the host' },
  'units/immutafs-scratch.service TimeoutStartSec': { usual: 30 },
  'units/immutafs-seed-close.service TimeoutStartSec': { usual: 2 },
  'units/immutafs-seed-ended.service TimeoutStartSec': { usual: 1 },
  'units/immutafs-seed-finish.service JobTimeoutSec': {
    expired: 'immutafs-seed-close.service makes /etc read-only, and the check reports it',
  },
  'units/immutafs-seed-finish.service TimeoutStartSec': { usual: 2 },
  'units/immutafs-seed.service TimeoutStartSec': { usual: 5 },
  'units/immutafs-session@.service TimeoutStartSec': { usual: 6 },
  'units/immutafs-session@.service TimeoutStopSec': { usual: 9 },
  'units/immutafs-user-runtime@.service TimeoutStartSec': { usual: 1 },
  'units/immutafs-var.service TimeoutStartSec': { usual: 2 },
  'units/immutafs-var@.service TimeoutStartSec': { expired: '0: there is no limit' },
  'boot/generator/lists.ts JobTimeoutSec': { expired: 'scratch-open waits for udev' },
  'dracut/95immutafs/immutafs-root.service TimeoutStartSec': { usual: 10 },
};

const sources = [
  ...['units', 'dracut/95immutafs'].flatMap((folder) =>
    fs
      .readdirSync(folder)
      .filter((name) => /\.(service|sh)$/.test(name))
      .map((name) => path.join(folder, name)),
  ),
  'boot/generator/lists.ts',
];

test('each limit is in the table, and each row is a limit', () => {
  assert.equal([...found().keys()].toSorted(), Object.keys(limits).toSorted());
});

for (const [name, limit] of Object.entries(limits)) {
  if ('expired' in limit) continue;
  test(`${name}: a host at a tenth of its speed keeps it`, () => {
    const seconds = found().get(name) ?? 0;
    assert.ok(seconds >= slowness * limit.usual, `${seconds} s for what takes up to ${limit.usual} s`);
  });
}

test('systemd waits without a limit for a service of type oneshot: each has one', () => {
  const without = sources.filter((file) => {
    const text = fs.readFileSync(file, 'utf8');
    return file.endsWith('.service') && /^Type=oneshot$/m.test(text) && !/^TimeoutStartSec=/m.test(text);
  });
  assert.equal(without, []);
});

/** A service whose program has limits of its own is ended only if one of them has failed. */
for (const [unit, script, names] of [
  [
    'units/immutafs-scratch-device.service',
    'boot/scratch/device.ts',
    { openSeconds: 1, closeSeconds: 2, udevSeconds: 1 },
  ],
  ['units/immutafs-scratch.service', 'boot/scratch/scratch.ts', { copySeconds: 1 }],
  ['units/immutafs-persist.service', 'boot/persist/persist.ts', { totalSeconds: 1 }],
  ['units/immutafs-persist@.service', 'boot/persist/copy.ts', { copySeconds: 1, otherSeconds: 6 }],
  // Its waits for the root and for /usr: each twice for members of arrays, for all devices, and for activated volumes.
  ['dracut/95immutafs/immutafs-root.service', 'boot/identity/mount-readonly.ts', { udevSeconds: 8 }],
] as const) {
  test(`${unit}: longer than the limits of ${script} together`, () => {
    const text = fs.readFileSync(script, 'utf8');
    const declared = [...text.matchAll(/\b(\w+(?:_s|S)econds) ?= ?(\d+)/g)].map(([, name = '', seconds]) => ({
      name,
      seconds,
    }));
    assert.equal(declared.map(({ name }) => name).toSorted(), Object.keys(names).toSorted());
    const times = new Map<string, number>(Object.entries(names));
    const sum = declared.reduce(
      (total, { name, seconds }) => total + Number(seconds) * (times.get(name) ?? 0),
      0,
    );
    const limit = found().get(`${unit} TimeoutStartSec`) ?? 0;
    assert.ok(limit > sum, `${limit} s, and the program may take ${sum} s`);
  });
}

/** The directives that limit the commands of a service, each with its value by default (systemd-system.conf(5)). */
const directives = {
  ExecStartPre: 'TimeoutStartSec',
  ExecStart: 'TimeoutStartSec',
  ExecStopPost: 'TimeoutStopSec',
} as const;
test('a command of immutafs-boot ends before systemd ends it, unless the end of it does no harm', () => {
  const runs = sources.flatMap((file) =>
    [
      ...fs
        .readFileSync(file, 'utf8')
        .matchAll(/^(Exec\w+)=-?\/usr\/libexec\/immutafs\/immutafs-boot (\S+)/gm),
    ].map(([, directive, name = '']) => ({
      file,
      directive: directives[directive as keyof typeof directives],
      name,
    })),
  );
  assert.ok(runs.length > 15);
  const late = runs.filter(({ file, directive, name }) => {
    const [id, limit] = [`${file} ${directive}`, found().get(`${file} ${directive}`) ?? 90];
    if (limit === 0 || 'expired' in (limits[id] ?? {})) return false;
    return limit <= (commands[name]?.seconds ?? Infinity);
  });
  assert.equal(late, []);
});

test.run();

/** Returns the limits of all units, in seconds. */
function found(): Map<string, number> {
  const limit = /^[^#\n]*?\b((?:Timeout\w*|JobTimeout|JobRunningTimeout|RuntimeMax|Watchdog)Sec)=(\w+)/gm;
  return new Map(
    sources.flatMap((file) =>
      [...fs.readFileSync(file, 'utf8').matchAll(limit)].map(([, directive, value = '']) => [
        `${file} ${directive}`,
        secondsOf(value),
      ]),
    ),
  );
}

function secondsOf(value: string): number {
  const [, number = '', unit = ''] = /^(\d+)(min|d)?$/.exec(value) ?? [];
  assert.is.not(number, '', value);
  return Number(number) * ({ min: 60, d: 86_400 }[unit] ?? 1);
}
