import { devicePath, volumeUuid } from './layout.ts';
import type { Layout, Volume } from './layout.ts';

/**
 * The fstab of a guest that is prepared to be sealed: `/` and `/boot` `ro`, nothing checked at boot, /home
 * and /tmp without programs, devices and set-user-ID.
 */
export function fstab(layout: Layout): string {
  const { system, boot, home } = layout;
  const [root, ...below] = system;
  if (!root) throw new Error('a layout without a root');
  return [
    line(devicePath(layout, root), root),
    line(`UUID=${volumeUuid(boot)}`, boot),
    ...below.map((volume) => line(devicePath(layout, volume), volume)),
    ...(home ? [line(`UUID=${volumeUuid(home)}`, home)] : []),
    'tmpfs /tmp tmpfs defaults,noexec,nosuid,nodev,mode=1777 0 0\n',
  ].join('');
}

function line(device: string, { target, filesystem, options = 'defaults' }: Volume): string {
  return `${device} ${target === 'swap' ? 'none' : target} ${filesystem} ${options} 0 0\n`;
}
