import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { defineStubDomain } from '../test/vm/libvirt/stub-domain.ts';
import { withHypervisorIn } from '../test/vm/libvirt/hypervisor.ts';

/**
 * Clicks the two clicks of docs/host.md in a real virt-manager and takes its picture: `node docs/virt-manager.ts
 * docs/virt-manager.png`, as root, with Debian's virt-manager, xvfb, xdotool, imagemagick, dbus and adwaita-icon-theme.
 * Throws unless libvirt then has the disk, and no other, as read-only.
 */
const size = { width: 900, height: 658 };

/** Where it is clicked, in virt-manager 5.0 with GTK's own theme. */
const clicks = { disk: [88, 248], advanced: [280, 248], readonly: [317, 265], apply: [839, 629] } as const;

/** Nothing says when it has drawn what was asked for. */
const drawn = { start: 45_000, click: 6_000 };

const [picture] = process.argv.slice(2);
if (picture === undefined) throw new Error('usage: node docs/virt-manager.ts TO.png');
const folder = '/srv/hypervisor';
const home = await mkdtemp(join(tmpdir(), 'virt-manager-'));
try {
  await mkdir(folder);
  await withHypervisorIn(folder, async (host) => {
    await defineStubDomain(host, 'guest');
    const env = { DISPLAY: ':77', HOME: home, PATH: '/usr/sbin:/usr/bin', LC_ALL: 'C.UTF-8' };
    const screen = execa('Xvfb', [env.DISPLAY, '-screen', '0', `${size.width}x${size.height}x24`]);
    const manager = ['virt-manager', '--no-fork', '--connect', host.uri, '--show-domain-editor', 'guest'];
    // The session's bus and all on it end with their process group.
    const session = execa('dbus-run-session', ['--', ...manager], { env, detached: true, reject: false });
    const act = async (...args: string[]) => {
      await execa('xdotool', args, { env });
      await sleep(drawn.click);
    };
    const click = ([x, y]: readonly [number, number]) => act('mousemove', `${x}`, `${y}`, 'click', '1');
    try {
      await sleep(drawn.start);
      const whole = ['windowmove', '0', '0', 'windowsize', `${size.width}`, `${size.height}`];
      await act('search', '--name', 'guest', ...whole);
      for (const place of [clicks.disk, clicks.advanced, clicks.readonly]) await click(place);
      await execa('import', ['-window', 'root', '-strip', '-colors', '64', `PNG8:${picture}`], { env });
      await click(clicks.apply);
      const disks = (await host.virsh('dumpxml', '--inactive', 'guest')).match(/<disk[^]*?<\/disk>/g) ?? [];
      const readOnly = disks.filter((xml) => xml.includes('<readonly/>'));
      if (readOnly.length !== 1 || !readOnly[0]?.includes("'vda'")) throw new Error(disks.join('\n'));
    } finally {
      if (session.pid !== undefined) process.kill(-session.pid, 'SIGKILL');
      screen.kill();
      await Promise.allSettled([session, screen]);
    }
  });
} finally {
  await rm(folder, { recursive: true });
  await rm(home, { recursive: true });
}
