import { efivars } from '../facts/boot/firmware.ts';
import type { AssessedFacts } from '../assess/assess.ts';
import { findRequiredDisks } from '../assess/system-disks.ts';
import { hasNoEfiRuntime, neverResumes, resumeWords } from '../facts/boot/kernel-arguments.ts';
import { kernelLines, openSearches } from '../facts/boot/boot-loader.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** An input of the next boot that root in the guest can control. */
interface Problem {
  /** Whether the input exists now. If false, only a precaution is missing, for which the host may compensate. */
  present: boolean;
  text: string;
  remedy: string;
}

const present = (text: string, remedy: string): Problem => ({ present: true, text, remedy });
const missing = (text: string, remedy: string): Problem => ({ present: false, text, remedy });

const prepare = 'While the disk is writable: immutafs-agent prepare --apply --only boot.';
const bootOrder = 'On the host: give boot order 1 to the system disk alone.';
const variables = 'On the host: reset the EFI variables at every start.';

export const bootInputs: Check = {
  id: 'boot-inputs',
  seal: true,
  messageId: '5ee53142340b462690e2928e07e72e4e',
  subject: 'firmware, boot loader, kernel command line',
  expected: 'not writable from the guest',
  evaluate: (facts) => {
    const problems = [
      ...resumeProblems(facts),
      ...firmwareProblems(facts),
      ...fileProblems(facts),
      ...loaderProblems(facts),
      ...diskProblems(facts),
      ...panicProblems(facts),
    ];
    if (problems.length === 0) return { status: 'pass', observed: describeSafeBoot(facts) };
    const sorted = problems.toSorted((a, b) => Number(b.present) - Number(a.present));
    return {
      status: sorted[0]?.present === true ? 'fail' : 'warn',
      observed: sorted.map(({ text }) => text).join('; '),
      remedy: [...new Set(problems.map(({ remedy }) => remedy))].join(' '),
    };
  },
};

function describeSafeBoot(facts: AssessedFacts): string {
  const firmware = unwrap(facts.firmware);
  if (firmware === undefined) return 'noresume; BIOS boot';
  const secureBoot = { true: 'on', false: 'off', undefined: 'unknown' }[String(firmware.secureBoot)];
  return `noresume, noefi; EFI variables ${firmware.variables}; Secure Boot ${secureBoot ?? 'unknown'}`;
}

function resumeProblems(facts: AssessedFacts): Problem[] {
  const words = facts.kernelArgument;
  if (neverResumes(words)) return [];
  const resume = resumeWords(words);
  if (resume.length === 0)
    return [missing('the kernel command line has no noresume', setArgument(facts, 'add noresume'))];
  return [
    present(
      `the kernel command line has ${resume.join(' ')} and no noresume`,
      setArgument(facts, 'remove resume=, and add noresume'),
    ),
  ];
}

/** Returns the remedy for the kernel command line, which `prepare` changes only in the files of GRUB. */
function setArgument(facts: AssessedFacts, change: string): string {
  const loader = unwrap(facts.loader);
  if (kernelLines(loader).length > 0 || loader.unread.length > 0) return prepare;
  return `This guest has no menu of GRUB. Where its kernel command line is set (on the host: <cmdline> of the domain; or in the boot loader): ${change}.`;
}

function firmwareProblems(facts: AssessedFacts): Problem[] {
  const firmware = unwrap(facts.firmware);
  if (firmware === undefined) return [];
  const { set } = firmware;
  const hidden =
    firmware.variables === 'hidden'
      ? [
          present(
            `EFI variable SystemdOptions is set; the initramfs has hidden all EFI variables in ${efivars}`,
            variables,
          ),
        ]
      : [];
  const changing = set.map((name) =>
    name.startsWith('Loader')
      ? missing(`EFI variable ${name} is set, and systemd-boot reads it`, variables)
      : present(`EFI variable ${name} is set, and systemd reads it`, variables),
  );
  const reachable =
    hasNoEfiRuntime(facts.kernelArgument) || hidden.length > 0
      ? []
      : [
          missing(
            `the kernel command line has no noefi: EFI variables are ${firmware.variables}`,
            setArgument(facts, 'add noefi'),
          ),
        ];
  return [...hidden, ...changing, ...foreignEntries(facts), ...reachable];
}

/** Returns the boot entries on writable disks that the firmware tries before the sealed disk. */
function foreignEntries(facts: AssessedFacts): Problem[] {
  const entries = unwrap(facts.firmware)?.entries ?? [];
  const own = entries.findIndex(
    ({ partitions }) => partitions.length > 0 && partitions.every(({ writable }) => !writable),
  );
  return entries.slice(0, own < 0 ? undefined : own).flatMap(({ name, description, next, partitions }) => {
    const writable = partitions.filter((partition) => partition.writable);
    if (writable.length === 0) return [];
    const where = writable.map((partition) => partition.name).join(', ');
    return [
      present(
        `${next ? 'BootNext' : 'BootOrder'}: ${name} "${description}" starts from ${where}, which is writable`,
        `${bootOrder} ${variables}`,
      ),
    ];
  });
}

/** Returns the boot loader files on writable disks except the disks of /, of which other checks say more. */
function fileProblems(facts: AssessedFacts): Problem[] {
  const files = ['/boot/efi', ...unwrap(facts.loader).files.map(({ file }) => file)];
  const disks = unwrap(facts.disks);
  const required = findRequiredDisks(facts, disks);
  const others = disks.filter((disk) => disk.hostReadOnly === false && !required.includes(disk));
  const found = files.flatMap((file) => {
    const target = facts.mounts.serving(file)?.target;
    const disk = others.find(({ holds }) => target !== undefined && holds.includes(target));
    return disk === undefined ? [] : [{ target: target ?? '', name: disk.name }];
  });
  const once = new Map(found.map((each) => [`${each.target} is on ${each.name}, which is writable`, each]));
  return [...once].map(([text, { target, name }]) =>
    present(text, `On the host: make the disk ${name} read-only; or move ${target} to the system disk.`),
  );
}

function loaderProblems(facts: AssessedFacts): Problem[] {
  const loader = unwrap(facts.loader);
  const lines = kernelLines(loader).filter(({ words }) => !neverResumes(words));
  const names = [...new Set(lines.map(({ name }) => name))];
  return [
    ...(names.length === 0 ? [] : [missing(`menu entries without noresume: ${names.join(', ')}`, prepare)]),
    ...loader.files
      .filter(({ kind, text }) => kind === 'grub' && openSearches(text).length > 0)
      .map(({ file }) => missing(`${file} searches for a file system on all disks`, addHint(file))),
    ...loader.unread.map((reason) =>
      missing(`could not be read: ${reason}`, 'Correct the files of the boot loader that could not be read.'),
    ),
  ];
}

const panicRemedy =
  'In /etc/fstab, add errors=remount-ro to the options of the file system, while the disk is writable.';

/** A data disk is writable in every boot, so root can set errors=panic in a superblock and damage the file system. */
function panicProblems(facts: AssessedFacts): Problem[] {
  return unwrap(facts.panicking).map((target) =>
    missing(
      `${target} has errors=panic: damage to this file system, which root can make, ends every boot in a panic`,
      panicRemedy,
    ),
  );
}

/** `prepare` does not change these commands, because the hint depends on how GRUB numbers the disks. */
function addHint(file: string): string {
  return `While the disk is writable: in ${file}, add to each command "search" without --hint the options that grub2-probe --target=hints_string /boot prints (Debian: grub-probe).`;
}

function diskProblems(facts: AssessedFacts): Problem[] {
  const found = unwrap(facts.partitions).filter(({ bootable, writable }) => bootable && writable);
  return found.map(({ name }) =>
    missing(`${name} is bootable and writable: the host must not boot from its disk`, bootOrder),
  );
}
