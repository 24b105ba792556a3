import type { Command } from 'commander';
import { checks } from '../../agent/checks/index.ts';
import type { Check } from '../../agent/checks/check.ts';
import { commandLine } from '../../agent/cli.ts';
import { sentence } from '../../agent/lib/format.ts';
import { describeKind } from '../../agent/report/explain.ts';
import { date, prose, tagged, word } from './mdoc.ts';

/** immutafs-agent(8), in mdoc(7). */
export function manual(): string {
  return [
    heading,
    '.Sh SYNOPSIS',
    ...commands().map(synopsis),
    '.Sh DESCRIPTION',
    description,
    '.Sh COMMANDS',
    ...commands().map(commandSection),
    '.Sh CHECKS',
    prose(
      'Each is one of pass, warn, fail, skip and error. What could not be evaluated is an error, never a pass.',
    ),
    tagged('Ds', checks.map(checkItem)),
    '.Sh UPDATES',
    updates,
    '.Sh FILES',
    tagged('Ds', files),
    '.Sh EXIT STATUS',
    tagged('Ds', exits),
    '.Sh SEE ALSO',
    '.Xr journalctl 1 ,',
    '.Xr immutafs.conf 5 ,',
    '.Xr systemd.generator 7 ,',
    '.Xr dracut 8',
    '',
  ].join('\n');
}

const heading = `.\\" Made by packaging/docs/docs.ts from the program's own tables.
.Dd ${date}
.Dt IMMUTAFS-AGENT 8
.Os
.Sh NAME
.Nm immutafs-agent
.Nd prove that a guest is sealed, and make it work that way`;

const description = `A host can give a guest the disk of its operating system read\\-only.
Then no one in the guest, root included, can plant anything that
survives a reboot.
.Nm
makes such a guest work, says whether it is sealed and by whose doing,
and keeps its logs from being lost.
.Pp
A boot is
.Em sealed
if the host made the disk under
.Pa /
read\\-only;
.Pa /var
is then an overlay in memory, which ends with the kernel: a soft reboot
.Pq Xr systemctl 1
keeps it.
It is a
.Em maintenance
boot if the disk is writable;
.Pa /var
is then the disk's own, so that updates persist.
The device's actual state decides, unless
.Xr immutafs.conf 5
or the kernel argument
.Cm immutafs=auto|sealed|off
says otherwise.`;

const updates = `A sealed guest cannot be updated: nobody but its host can make the disk
writable.
.Xr rpm 8 ,
and with it dnf and yum, refuses there before anything is changed.
The host shuts the guest down, makes the disk writable and starts it:
.Pp
.Dl virt\\-xml GUEST \\-\\-edit target=vda \\-\\-disk readonly=off
.Pp
The guest comes up in maintenance.
When it has been updated, the host shuts it down, makes the disk
read\\-only
.Pq Cm readonly=on
and starts it again.
The project's
.Pa docs/host.md
has this for other hosts and for many guests.`;

const files: [string, string][] = [
  ['.Pa /etc/immutafs/immutafs.conf', 'The configuration, see\n.Xr immutafs.conf 5 .'],
  ['.Pa /run/immutafs/boot.env', 'What the boot decided and did.'],
  ['.Pa /run/immutafs/report.json', 'The last report of\n.Nm Cm check .'],
  ['.Pa /run/immutafs/login', 'What a login is told: maintenance, and checks that do not pass.'],
  ['.Pa /var/lib/immutafs/prepare.json', 'What\n.Nm Cm prepare\ndid.'],
  ['.Pa /var/lib/immutafs/backup', 'The files that it changed, as they were.'],
  ['.Pa /run/var', 'The tmpfs that holds what is written to\n.Pa /var .'],
].map(([term = '', text = '']) => [term.slice(1), text]);

const exits: [string, string][] = [
  [
    '0',
    'The guest is sealed and every required check passed.\nOf\n.Cm prepare\nand\n.Cm check Fl Fl ready-to-seal :\nnothing is left to do.',
  ],
  ['1', 'A required check failed.\nOf those two: something is left to do.'],
  ['2', 'Usage, or nothing failed but the configuration.'],
  ['3', 'It could not be told.'],
  ['4', 'Not sealed, by intent: maintenance or off.'],
];

function commands(): readonly Command[] {
  return commandLine().commands;
}

function synopsis(command: Command): string {
  const options = command.options
    .filter(({ hidden }) => !hidden)
    .map(({ long, flags }) => `.Op ${optionTerm(long ?? '', flags)}`);
  return [`.Nm`, `.Cm ${command.name()}`, ...options].join('\n');
}

function commandSection(command: Command): string {
  const shown = command.options.filter(({ hidden }) => !hidden);
  const options = shown.map(({ long, flags, description: text, argChoices }): [string, string] => [
    optionTerm(long ?? '', flags),
    prose(`${sentence(text)}${argChoices === undefined ? '' : ` One of ${argChoices.join(', ')}.`}`),
  ]);
  return [
    `.Ss ${command.name()}`,
    prose(sentence(command.description())),
    ...(options.length === 0 ? [] : [tagged('Ds', options)]),
  ].join('\n');
}

/** "--color <when>" -> Fl -color Ar when */
function optionTerm(long: string, flags: string): string {
  const argument = /[<[]([^>\]]+)[>\]]/.exec(flags)?.[1];
  return `Fl ${word(long.slice(1))}${argument === undefined ? '' : ` Ar ${word(argument)}`}`;
}

function checkItem(check: Check): [string, string] {
  const { title, means, why, fix } = check.documentation;
  const paragraphs = [`${sentence(title)} ${describeKind(check)}`, means, why, fix];
  return [`Sy ${word(check.id)}`, paragraphs.map(prose).join('\n.Pp\n')];
}
