import { execa } from 'execa';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { agentTree } from '../vm/harness/agent.ts';
import type { Edit } from '../vm/harness/disk.ts';
import { xfsOnLvm } from '../vm/harness/layout.ts';
import { templateOf } from '../vm/harness/template.ts';
import { ask, withBed } from '../vm/libvirt/bed.ts';
import type { Bed } from '../vm/libvirt/bed.ts';
import type { Result } from './run.ts';
import type { Figure } from './table.ts';

const marks = '/var/lib/marks';

/** A word and the guest's own clock, in seconds since its kernel began. */
const mark = (word: string): string => `echo ${word} $(cut -d " " -f 1 /proc/uptime) >>${marks}`;

/**
 * Has the guest note the end of its own check at boot, and the beginning of its shutdown. In dracut's place, which
 * takes long in an emulated guest, is a program that hands in the image that is there.
 */
const withMarks: Edit = async (root) => {
  const copy = '#!/bin/sh\n' + [mark('begin'), 'cp /boot/initrd.img-* "$2"', mark('end')].join('\n') + '\n';
  await writeFile(join(root, 'usr/bin/dracut'), copy);
  const units = join(root, 'etc/systemd/system');
  await mkdir(join(units, 'immutafs-check.service.d'), { recursive: true });
  await writeFile(
    join(units, 'immutafs-check.service.d/mark.conf'),
    `[Service]\nExecStopPost=/bin/sh -c '${mark('checked')}'\n`,
  );
  const stop = `RemainAfterExit=yes\nExecStart=/bin/true\nExecStop=/bin/sh -c '${mark('down')}'\n`;
  await writeFile(join(units, 'mark.service'), `[Service]\nType=oneshot\n${stop}`);
  await symlink('../mark.service', join(units, 'multi-user.target.wants/mark.service'));
};

/**
 * How long the guest's service waits for us in an update, beside its two reboots, the update's own commands and dracut:
 * only what lies between those is measured.
 */
export async function update(): Promise<Result> {
  const template = await templateOf(xfsOnLvm, await agentTree());
  const figures: Figure[] = [];
  await withBed(template, withMarks, async (bed) => void figures.push(...(await waits(bed))));
  const all = figures.reduce((sum, { value }) => sum + value, 0);
  return {
    about:
      'what an update waits for us, by the clocks of libvirt and of the guest: from the end of each thing that it needs' +
      '\n(shutdown, boot up to the check at boot, command, dracut) to the beginning of the next; one guest, emulated',
    control: '',
    figures: [...figures, { name: 'together', unit: 's', value: all, aim: { of: 'value', atMost: 5 } }],
  };
}

async function waits({ ansible, host, guest, click }: Bed): Promise<Figure[]> {
  await click('on');
  const sealed = await ansible.play('seal');
  assert.is(sealed.exit, 0, sealed.output);
  const watch = ['--connect', host.uri, 'event', '--event', 'lifecycle', '--loop', '--timestamp'];
  const events = execa('/usr/bin/virsh', [...watch, guest.name], { reject: false, stdin: 'ignore' });
  const { exit, output } = await ansible.play('update', {
    immutafs_update_commands: [
      ['sh', '-c', [mark('begin'), 'rpm --install /root/repository/2.rpm', mark('end')].join(' && ')],
    ],
  });
  events.kill();
  assert.is(exit, 0, output);
  const off = waitsBetween((await events).stdout);
  const on = marksIn(await ask(guest, `cat ${marks}`));
  return [
    { name: 'shut off to started, to be opened', unit: 's', value: off[0] },
    { name: 'check at boot to the first command', unit: 's', value: on[0] },
    { name: 'command to dracut', unit: 's', value: on[1] },
    { name: 'dracut to the shutdown', unit: 's', value: on[2] },
    { name: 'shut off to started, to be sealed', unit: 's', value: off[1] },
  ];
}

/** virsh(1), event: "2026-11-25 10:00:00.000+0000: event 'lifecycle' for domain 'guest': Stopped Shutdown". */
function waitsBetween(text: string): [number, number] {
  const events = text
    .matchAll(/^(\S+) (\S+): event 'lifecycle' for domain '[^']*': (Stopped|Started)/gm)
    .map(([, day, time, what]) => ({ what, at: Date.parse(`${day}T${time}`) }))
    .toArray();
  assert.equal(
    events.map(({ what }) => what),
    ['Stopped', 'Started', 'Stopped', 'Started'],
    text,
  );
  const [a, b, c, d] = events.map(({ at }) => at / 1000) as [number, number, number, number];
  return [b - a, d - c];
}

/** Those of the boot in maintenance: what a sealed guest notes is gone with its /var. */
function marksIn(text: string): [number, number, number] {
  const lines = text.split('\n').map((line) => line.split(' '));
  const words = ['checked', 'begin', 'end', 'begin', 'end', 'down'];
  const before = lines.slice(0, words.length);
  assert.equal(
    before.map(([word]) => word),
    words,
    text,
  );
  const [checked, begin, end, dracut, done, down] = before.map(([, at]) => Number(at)) as [
    ...[number, number, number],
    ...[number, number, number],
  ];
  return [begin - checked, dracut - end, down - done];
}
