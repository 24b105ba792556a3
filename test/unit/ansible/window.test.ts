import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { callPlugin } from '../../harness/collection.ts';

/** Tests whether an update fits into a maintenance window (ansible/plugins/filter/window.py). */
const test = suite('maintenance windows');

interface Fit {
  fits: boolean;
  reason: string;
}

const fit = (windows: unknown, now: string, minutes: number) =>
  callPlugin('filter.window', 'window_fit', windows, Date.parse(now) / 1000, minutes * 60) as Fit;

const berlin = { zone: 'Europe/Berlin' };
const evening = { days: ['thu'], from: '20:00', to: '22:00' };
const night = { days: ['sat'], from: '22:00', to: '04:00', ...berlin };
const everyDay = { from: '01:00', to: '02:00' };
// In 2026, summer time in Berlin begins on Sunday, 29 March, 01:00 UTC, and ends on Sunday, 25 October, 01:00 UTC.
const early = { days: ['sun'], from: '01:00', to: '04:00', ...berlin };

const opens = (at: string) => `the next window opens at ${at}`;
const outside = (at: string) => `outside of every window; ${opens(at)}`;
const closes = (left: number, takes: number, then: string) =>
  `the window closes in ${left} min, but an update may take ${takes} min; ${then}`;

for (const [title, windows, now, minutes, reason] of [
  ['at the first second', [evening], '2026-11-26T20:00:00Z', 120, ''],
  ['one second before the window', [evening], '2026-11-26T19:59:59Z', 30, outside('2026-11-26T20:00Z')],
  ['exactly enough time', [evening], '2026-11-26T21:30:00Z', 30, ''],
  ['a second too little', [evening], '2026-11-26T21:30:01Z', 30, closes(29, 30, opens('2026-12-03T20:00Z'))],
  ['the window has closed', [evening], '2026-11-26T22:00:00Z', 30, outside('2026-12-03T20:00Z')],
  ['the same time on another day', [evening], '2026-11-27T20:30:00Z', 30, outside('2026-12-03T20:00Z')],
  ['always too short', [everyDay], '2026-11-26T01:00:00Z', 61, closes(60, 61, 'no window is long enough')],
  ['across midnight: before it', [night], '2026-11-28T21:00:00Z', 60, ''],
  ['across midnight: after it, on Sunday', [night], '2026-11-29T02:00:00Z', 60, ''],
  // The night before, whose window would open on Friday.
  ['across midnight: the night before', [night], '2026-11-28T02:00:00Z', 60, outside('2026-11-28T21:00Z')],
  ['across midnight: the update itself', [night], '2026-11-28T22:30:00Z', 120, ''],
  ['a whole day, every day', [{ from: '00:00', to: '00:00' }], '2026-11-26T13:00:00Z', 600, ''],
  ['the second of two windows', [evening, everyDay], '2026-11-26T01:10:00Z', 50, ''],
  ['between two: the next', [evening, everyDay], '2026-11-26T02:00:00Z', 50, outside('2026-11-26T20:00Z')],
  // Without the change of the clock, the window from 01:00 to 04:00 has 180 minutes.
  ['the clock is set forward: the window has 120 minutes', [early], '2026-03-29T00:00:00Z', 120, ''],
  ['121 do not fit', [early], '2026-03-29T00:00:00Z', 121, closes(120, 121, opens('2026-04-04T23:00Z'))],
  ['the clock is set back: the window has 240 minutes', [early], '2026-10-24T23:00:00Z', 240, ''],
  [
    'a time that does not exist: the window from 02:30 opens at 03:30 summer time',
    ...([[{ ...early, from: '02:30' }], '2026-03-29T01:29:00Z', 30, outside('2026-03-29T01:30Z')] as const),
  ],
  [
    'a time that exists twice: the window until 02:30 closes at the first one',
    [{ ...early, to: '02:30' }],
    ...(['2026-10-25T00:00:00Z', 31, closes(30, 31, opens('2026-11-01T00:00Z'))] as const),
  ],
  ['summer time: 22:00 in Berlin is 20:00 UTC', [night], '2026-07-04T20:00:00Z', 60, ''],
] as const) {
  test(title, () => assert.equal(fit(windows, now, minutes), { fits: reason === '', reason }));
}

for (const [title, windows, message] of [
  ['no list', evening, /must be a list of windows/],
  ['an unknown key', [{ ...evening, timezone: 'UTC' }], /needs from and to, and may have days and zone/],
  ['no end', [{ from: '20:00' }], /needs from and to/],
  ['an unknown day', [{ ...evening, days: ['thursday'] }], /must be a list of mon, tue/],
  ['days as text', [{ ...evening, days: 'thu' }], /must be a list of mon, tue/],
  ['no day', [{ ...evening, days: [] }], /must be a list of mon, tue/],
  ['a number, as YAML reads 22:00 without quotes', [{ ...evening, to: 1320 }], /must be HH:MM in quotes/],
  ['a time that is none', [{ ...evening, to: '24:00' }], /must be HH:MM in quotes/],
  ['one digit', [{ ...evening, to: '9:00' }], /must be HH:MM in quotes/],
  ['an unknown time zone', [{ ...evening, zone: 'Europe/Bielefeld' }], /time zone 'Europe\/Bielefeld'/],
  ['a path as the time zone', [{ ...evening, zone: '../../etc/passwd' }], /is unknown on the controller/],
] as const) {
  test(`an error: ${title}`, () => assert.throws(() => fit(windows, '2026-11-26T20:00:00Z', 30), message));
}

test('an error: a duration that is no number, or zero', () => {
  for (const minutes of [0, -5, Number.NaN]) {
    assert.throws(() => fit([evening], '2026-11-26T20:00:00Z', minutes), /must be a number of seconds/);
  }
});

test.run();
