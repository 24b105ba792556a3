import { execa } from 'execa';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { agentTree } from '../vm/harness/agent.ts';
import type { Edit } from '../vm/harness/disk.ts';
import { xfsOnLvm } from '../vm/harness/layout.ts';
import { templateOf } from '../vm/harness/template.ts';
import { ask, withFixture } from '../vm/libvirt/fixture.ts';
import type { LibvirtFixture } from '../vm/libvirt/fixture.ts';
import type { Result } from './run.ts';
import { type Figure, figure } from './table.ts';

const marks = '/var/lib/marks';

/** Returns a command that records a keyword, the guest's uptime and the idle time of its only CPU, in seconds. */
const mark = (word: string): string => `echo ${word} $(cat /proc/uptime) >>${marks}`;

/** Prints the duration of a loop, in seconds. It shows how much slower programs run than in a guest with KVM. */
const loop = 'TIMEFORMAT=%R; { time for ((i = 0; i < 300000; i++)); do :; done; } 2>&1';

/**
 * Makes the guest record the end of its check at boot and the beginning of its shutdown. dracut, which takes long in an
 * emulated guest, is replaced by a program that copies the existing image.
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
 * Measures the time that the project adds to an update of a guest, that is, the time between the two reboots, the
 * update's own commands and dracut, which are not included. The time for a guest without emulation is calculated from
 * this time.
 */
export async function update(): Promise<Result> {
  const template = await templateOf(xfsOnLvm, await agentTree());
  const { spans, loops } = await withFixture(template, withMarks, waits);
  const sum = (key: 'wall' | 'busy') => spans.reduce((all, span) => all + span[key], 0);
  const saved = sum('busy') * (1 - loops.here / loops.guest);
  const aim = { of: 'value', atMost: 5 } as const;
  return {
    about:
      'what an update waits for us, by the clocks of libvirt and of the guest: from the end of each thing that it needs' +
      '\n(shutdown, boot up to the check at boot, command, dracut) to the beginning of the next; one guest, emulated.' +
      "\nReckoned: with the time in which the guest's processor was at work divided by what emulation costs a loop.",
    control: 'no emulation',
    figures: [
      ...spans.map(({ name, wall }): Figure => ({ name, unit: 's', value: wall })),
      figure('together', 's', sum('wall'), undefined, aim),
      figure("of that, the guest's processor at work", 's', sum('busy')),
      figure('a loop of bash in the guest', 's', loops.guest, loops.here),
      figure('together, reckoned without emulation', 's', sum('wall') - saved, undefined, aim),
    ],
  };
}

/** Times in seconds. `busy` is the CPU time of the guest, which is 0 while the guest is shut off. */
interface Span {
  name: string;
  wall: number;
  busy: number;
}

interface Waited {
  spans: Span[];
  loops: { guest: number; here: number };
}

async function waits({ ansible, host, guest, editDomain }: LibvirtFixture): Promise<Waited> {
  await editDomain('on');
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
  const [opened, closed] = off.map((wall) => ({ wall, busy: 0 })) as [Clock, Clock];
  const { stdout: here } = await execa('bash', ['-c', loop]);
  const [first, dracut, down] = spansIn(await ask(guest, `cat ${marks}`));
  return {
    spans: [
      { name: 'shut off to started, to be opened', ...opened },
      { name: 'check at boot to the first command', ...first },
      { name: 'command to dracut', ...dracut },
      { name: 'dracut to the shutdown', ...down },
      { name: 'shut off to started, to be sealed', ...closed },
    ],
    loops: { guest: Number(await ask(guest, `bash -c '${loop}'`)), here: Number(here) },
  };
}

type Clock = Omit<Span, 'name'>;

/**
 * Returns the times between the guest's stops and starts, from the output of `event` (virsh(1)):
 * "2026-11-25 10:00:00.000+0000: event 'lifecycle' for domain 'guest': Stopped Shutdown".
 */
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

/** Returns the spans of the boot in maintenance mode. The records of a sealed guest are lost with its /var. */
function spansIn(text: string): [Clock, Clock, Clock] {
  const lines = text.split('\n').map((line) => line.split(' '));
  const words = ['checked', 'begin', 'end', 'begin', 'end', 'down'];
  const before = lines.slice(0, words.length);
  assert.equal(
    before.map(([word]) => word),
    words,
    text,
  );
  const span = (from: number): Clock => {
    const [[, a, idleA], [, b, idleB]] = [before[from] ?? [], before[from + 1] ?? []];
    const wall = Number(b) - Number(a);
    return { wall, busy: wall - (Number(idleB) - Number(idleA)) };
  };
  return [span(0), span(2), span(4)];
}
