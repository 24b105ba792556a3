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
