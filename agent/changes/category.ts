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

const places: readonly (readonly [Category, RegExp])[] = [
  ['at', /^\/var\/spool\/(?:at|cron\/atjobs)\/(?!\.SEQ$|spool\/)/],
  ['cron', /^\/var\/spool\/(?:cron|fcron)\/(?!atspool\/|atjobs\/)|^\/etc\/(?:cron|anacron)/],
  ['unit', /^\/(?:etc|usr\/lib|lib|run|var\/lib)\/systemd\/(?:system|user)(?:[.-][a-z]+)?\//],
  ['unit', /^\/run\/systemd\/transient\/|^\/var\/lib\/systemd\/linger\/|\/\.config\/systemd\/user\//],
  ['udev', /^\/(?:etc|run|usr\/lib|lib)\/udev\/rules\.d\//],
  ['startup', /^\/etc\/(?:rc[^/]*|init|profile|modules-load|modprobe|sudoers|pam|ld\.so\.conf)\.d\//],
  ['startup', /^\/etc\/(?:ld\.so\.preload|rc\.local|crontab|profile|bashrc|environment|sudoers)$/],
  ['startup', /^\/etc\/(?:NetworkManager\/dispatcher\.d|dhcp|X11\/xinit|xdg\/autostart)\//],
  ['login', /\/\.ssh\/(?:authorized_keys2?|rc|environment)$/],
  [
    'login',
    /\/\.(?:bash_profile|bash_login|bashrc|bash_logout|profile|zshenv|zshrc|zprofile|login|cshrc|tcshrc|forward)$/,
  ],
];

/** Matches what systemd itself writes in these folders in every boot. */
const generated =
  /^\/run\/systemd\/(?:generator(?:\.early|\.late)?\/|transient\/[^/]*\.(?:scope|slice|mount)$)/;

const setIds = 0o6000;
const execute = 0o111;

/**
 * Returns the category of a change; undefined for an ordinary file. A change of the mtime or of extended attributes alone
 * does not make an executable notable.
 */
export function categoryOf(change: Change): Category | undefined {
  if (change.type !== 'directory' && !generated.test(change.path)) {
    const place = places.find(([, pattern]) => pattern.test(change.path));
    if (place !== undefined) return place[0];
  }
  if (change.change === 'deleted') return undefined;
  if (change.type === 'char' || change.type === 'block') return 'device';
  if (change.type !== 'file') return undefined;
  if ((change.mode & setIds) !== 0 || change.capable) return 'setuid';
  const isSame =
    change.change === 'modified' && !change.what.includes('content') && !change.what.includes('mode');
  return (change.mode & execute) !== 0 && !isSame ? 'executable' : undefined;
}
