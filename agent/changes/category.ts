import { homeFiles, homeUnits, placeOf } from '../facts/security/places.ts';
import type { Change } from './change.ts';

/**
 * What makes a change notable: a file that programs start by themselves, or that gives rights. In the order in which the
 * changes are shown.
 */
export const categories = [
  'cron',
  'unit',
  'udev',
  'at',
  'startup',
  'setuid',
  'device',
  'login',
  'executable',
] as const;

export type Category = (typeof categories)[number];

/** Matches what systemd itself writes in these directories in every boot. */
const generated = /^\/run\/systemd\/(?:generator(?:\.early|\.late)?\/|transient\/[^/]*\.mount$)/;

/**
 * Matches the scopes and slices that systemd-logind(8) writes for each session, and their properties. Whatever their
 * names are, units of these types start no program (systemd.scope(5), systemd.slice(5)).
 */
const grouping =
  /^\/run\/systemd\/(?:system|user|transient|(?:system|user)\.control)\/[^/]*\.(?:scope|slice)(?:\.d\/[^/]*\.conf)?$/;

const setIds = 0o6000;
const execute = 0o111;

/**
 * Returns the category of a change; undefined for an ordinary file. A change of the mtime or of extended attributes alone
 * does not make an executable notable.
 */
export function categoryOf(change: Change): Category | undefined {
  const isGenerated = generated.test(change.path) || (change.type === 'file' && grouping.test(change.path));
  if (change.type !== 'directory' && !isGenerated) {
    const category = categoryOfPath(change.path);
    if (category !== undefined) return category;
  }
  if (change.change === 'deleted') return undefined;
  if (change.type === 'char' || change.type === 'block') return 'device';
  if (change.type !== 'file') return undefined;
  if ((change.mode & setIds) !== 0 || change.capable) return 'setuid';
  const isSame =
    change.change === 'modified' && !change.what.includes('content') && !change.what.includes('mode');
  return (change.mode & execute) !== 0 && !isSame ? 'executable' : undefined;
}

function categoryOfPath(path: string): Category | undefined {
  if (path.includes(`/${homeUnits}/`)) return 'unit';
  if (homeFiles.some((file) => path.endsWith(`/${file}`))) return 'login';
  const place = placeOf(path);
  return place === 'data' ? undefined : place?.category;
}

/** Files that the services of a guest write all the time: logs, caches, and the state of time, network and timers. */
export const ignoredByDefault: readonly string[] = [
  '/run/systemd/generator*/**',
  '/run/systemd/transient/*.mount',
  '/run/systemd/{system,user,transient,system.control,user.control}/*.{scope,slice,scope.d,slice.d}',
  '/run/systemd/{system,user,transient,system.control,user.control}/*.{scope.d,slice.d}/*.conf',
  '/var/cache/**',
  '/var/lib/NetworkManager/**',
  '/var/lib/chrony/**',
  '/var/lib/dhclient/**',
  '/var/lib/dhcp/**',
  '/var/lib/logrotate/**',
  '/var/lib/private/systemd/**',
  '/var/lib/rsyslog/**',
  '/var/lib/systemd/{backlight,catalog,rfkill,timers,timesync}/**',
  '/var/lib/systemd/random-seed',
  '/var/log/**',
  '/var/spool/anacron/**',
  '/var/tmp/systemd-private-*',
  '/var/tmp/systemd-private-*/tmp',
];

/**
 * Returns a function that tests whether a path matches one of the patterns. In a pattern, `*` and `?` match any
 * characters but a slash, `**` any characters, and `{a,b}` one of the words. A pattern that ends in `/**` also matches the
 * directory itself.
 * @param patterns one character per byte (latin1), as the paths
 */
export function ignores(patterns: readonly string[]): (path: string) => boolean {
  if (patterns.length === 0) return () => false;
  const form = new RegExp(`^(?:${patterns.map(expression).join('|')})$`, 's');
  return (path) => form.test(path);
}

function expression(pattern: string): string {
  const isTree = pattern.endsWith('/**');
  const tokens = (isTree ? pattern.slice(0, -'/**'.length) : pattern).match(/\*\*|\{[^{}]*\}|[^]/g) ?? [];
  return tokens.map(tokenExpression).join('') + (isTree ? '(?:/.*)?' : '');
}

function tokenExpression(token: string): string {
  if (token === '**') return '.*';
  if (token === '*') return '[^/]*';
  if (token === '?') return '[^/]';
  if (token.length > 1) return `(?:${token.slice(1, -1).split(',').map(literal).join('|')})`;
  return literal(token);
}

function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}
