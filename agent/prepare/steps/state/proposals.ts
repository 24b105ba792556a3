import { isUtf8 } from 'node:buffer';
import { acceptedFile } from '../../../config/accepted.ts';
import { configFile, words } from '../../../config/config.ts';
import { pathOf } from '../../../config/keys.ts';
import { formatBytes, minute, shellWord, shortList } from '../../../lib/format.ts';
import { services } from '../../../services/services.ts';
import { when } from '../../engine/part.ts';
import type { Snapshot } from '../../engine/snapshot.ts';
import type { FoundState, StateFinding, Step } from '../../engine/step.ts';
import { isReset } from '../layers.ts';
import { canOverlay } from '../writes/proposal.ts';

/** Adds what can be done about a finding. */
export function withProposal(look: Snapshot, finding: FoundState): StateFinding {
  const proposal = proposalOf(finding);
  return { ...finding, proposal, command: commandOf(look, finding, proposal), text: describe(look, finding) };
}

function proposalOf({ service, files, persist, directories }: FoundState): StateFinding['proposal'] {
  if (services.find(({ id }) => id === service)?.proposal === 'reset') return 'reset';
  if (persist.length > 0) return 'keep';
  return files === 0 && directories.length > 0 ? 'start' : 'separate';
}

/** Returns the command for a proposal. Nothing is moved and no unit is started in an image. */
function commandOf(
  look: Snapshot,
  { directories, persist, units }: FoundState,
  proposal: StateFinding['proposal'],
): string {
  if (look.reader.image === undefined && proposal === 'keep')
    return `immutafs-agent prepare --apply --only state --move-state ${persist.join(' ')}`;
  if (look.reader.image === undefined && proposal === 'start')
    return `systemctl start ${shellWord(units[0] ?? '')}`;
  return acceptance(look, directories);
}

/**
 * Returns the command that accepts the reset of directories. A name that is not UTF-8 cannot be an argument of the agent, but the
 * file can have it.
 */
function acceptance(look: Snapshot, directories: readonly string[]): string {
  if (!directories.every((each) => isUtf8(Buffer.from(each, 'latin1'))))
    return `printf ${directories.map((each) => `'${printfFormat(each)}\\n'`).join('')} >>${acceptedFile}`;
  const { image } = look.reader;
  const isOutside = image === undefined && directories.some((each) => !isReset(look, each));
  const options = [...when(image !== undefined, '--image'), '--apply', '--only', 'state'];
  return `immutafs-agent prepare ${options.join(' ')}${isOutside ? ' writes' : ''} --accept ${directories.map(shellWord).join(' ')}`;
}

/** Returns a path as a format of printf(1) within single quotes. */
function printfFormat(path: string): string {
  return path.replace(/[^\w./@+:-]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

function describe(look: Snapshot, finding: FoundState): string {
  const { service, name, directories, packages, files, openBy, declaredBy, unowned, changed } = finding;
  const { loses, advice, source, lastWrite } = finding;
  const facts = [
    ...finding.units.slice(0, 1),
    ...when(packages.length > 0, `package ${packages.join(', ')}`),
    lastWrite === null
      ? 'enabled, and nothing has been written yet'
      : `${files} ${files === 1 ? 'file' : 'files'}, ${formatBytes(finding.bytes)}, last written at ${minute(lastWrite)}`,
    ...when(unowned > 0, `${unowned} of no package`),
    ...when(changed > 0, `${changed} changed since their installation`),
    ...when(openBy.length > 0, `open for writing by ${openBy.join(', ')}`),
    ...when(declaredBy.length > 0, `named by ${declaredBy.join(', ')}`),
  ];
  const place = service === null ? name : `${shortList(directories, ', ', 3)} (${name})`;
  const documented = source === null ? '' : ` See ${source}.`;
  const effect = directories.every((each) => isReset(look, each))
    ? `A reboot would lose ${loses}`
    : `A sealed boot cannot write here; with OVERLAY, a reboot would lose ${loses}`;
  return `${place}: ${facts.join('; ')}. ${effect}.${advice === '' ? '' : ` ${advice}`}${documented}`;
}

/** Returns what an administrator must do before the commands of the findings, and what else can be done. */
export function waysOut(look: Snapshot, findings: readonly StateFinding[]): string[] {
  if (findings.length === 0) return [];
  const { config } = look;
  const overlays = words(config.OVERLAY);
  const directories = findings.flatMap((finding) => finding.directories);
  const of = (proposal: StateFinding['proposal']) =>
    findings.filter((each) => each.proposal === proposal).flatMap((each) => each.directories);
  const overlaid = directories.filter((directory) => overlays.map(pathOf).includes(directory));
  const outside = directories.filter((directory) => !isReset(look, directory));
  const layers = outside.filter((directory) => canOverlay(look.reader, directory));
  const isKeepable = findings.some(({ persist }) => persist.length > 0);
  return [
    'A reboot would lose the state in the table. Decide for each entry: keep it, or accept the loss.',
    ...when(
      isKeepable && config.PERSIST_STORE === '',
      `Before something is kept, set PERSIST_STORE in ${configFile} to a directory on a data disk that the host leaves writable and /etc/fstab mounts.`,
    ),
    ...when(overlaid.length > 0, `Before it is kept, remove ${shortList(overlaid, ' ', 8)} from OVERLAY.`),
    ...when(
      of('separate').length > 0,
      `PERSIST cannot keep a single file, which programs replace by renaming, nor a name with blanks or special characters: configure the program to write ${shortList(of('separate'), ', ', 3)} in a directory of its own.`,
    ),
    ...when(
      of('start').length > 0,
      `PERSIST can keep a directory when it exists: start the service that makes ${shortList(of('start'), ', ', 3)} once, and run prepare again.`,
    ),
    ...when(
      layers.length > 0,
      `To reset what is outside of /var, also set OVERLAY=${[...overlays, ...layers].join(' ')}. Without it, a sealed boot cannot write there.`,
    ),
  ];
}

/** Returns the lines that can be copied, beside the commands of the findings. */
export function copyableLines(
  look: Snapshot,
  findings: readonly StateFinding[],
): NonNullable<Step['copyable']> {
  const kept = findings.filter(({ proposal }) => proposal === 'keep');
  const persist = [...words(look.config.PERSIST), ...kept.flatMap((each) => each.persist)];
  if (look.reader.image !== undefined) {
    const text = `To keep what is proposed, in ${configFile}:`;
    return when(kept.length > 0, { text, line: `PERSIST=${[...new Set(persist)].join(' ')}` });
  }
  const directories = kept.flatMap((each) => each.directories);
  return when(kept.length > 0, {
    text: 'To let a sealed boot reset what is proposed to be kept:',
    line: acceptance(look, directories),
  });
}
