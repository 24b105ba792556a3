import { keys } from '../../agent/config/keys.ts';
import { date, prose, tagged, word } from './mdoc.ts';

/** immutafs.conf(5), in mdoc(7). */
export function configurationManual(): string {
  return [
    heading,
    tagged('Ds', Object.entries(keys).map(keyItem)),
    '.Sh FILES',
    '.Pa /etc/immutafs/immutafs.conf',
    '.Sh EXAMPLES',
    '.Bd -literal',
    'VAR_SIZE=512m',
    'REQUIRE_OPTIONS=/home:noexec,nosuid,nodev /tmp:noexec,nosuid,nodev /srv:nosuid,nodev',
    'FORWARD=relp+tls://log.example.com:2514',
    '.Ed',
    '.Sh SEE ALSO',
    '.Xr immutafs-agent 8',
    '',
  ].join('\n');
}

const heading = `.\\" Made by packaging/docs/docs.ts from the program's own tables.
.Dd ${date}
.Dt IMMUTAFS.CONF 5
.Os
.Sh NAME
.Nm immutafs.conf
.Nd configuration of immutafs-agent
.Sh DESCRIPTION
Lines are KEY=value: no quotes, no spaces around the equals sign,
no comment after a value.
A line that begins with
.Sq #
is a comment.
The file is read at boot, in the initramfs, from the disk under
.Pa / ,
and by
.Xr immutafs-agent 8 .
It is never executed.
.Pp
An unknown key or a bad value is a warning at boot, and the default is used.
The check
.Sy config\\-valid
names file, line and reason.
.Sh KEYS`;

function keyItem([name, { meaning, from, initial, wanted }]: [string, (typeof keys)[keyof typeof keys]]): [
  string,
  string,
] {
  const value = `A good value is ${wanted}. The default is ${initial === '' ? 'empty' : initial}.`;
  const counts = from === 'boot' ? 'Counts from the next boot.' : 'Counts from the next check.';
  const when = name.startsWith('FORWARD')
    ? 'Counts from the next start of immutafs-forward.service.'
    : counts;
  return [`Sy ${word(name)}`, [meaning, `${value} ${when}`].map(prose).join('\n.Pp\n')];
}
