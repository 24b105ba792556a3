import { imageFile, imageText, readImage } from '../../config/image.ts';
import { namesIfThere } from '../../system/names.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import { type Planned, stepOf, when } from '../engine/part.ts';
import type { Action } from '../engine/step.ts';

const machineIdFile = '/etc/machine-id';
const keyFolder = '/etc/ssh';
/** Where systemd and its boot loader, and the initscripts of RHEL 7, keep the seed of the random number generator. */
const seeds = ['/var/lib/systemd', '/var/lib', '/boot/efi/loader', '/boot/loader'].map(
  (folder) => `${folder}/random-seed`,
);

/**
 * Plans the step `image`: the image contains nothing that every guest must have for itself and that a sealed guest cannot
 * replace, and /etc/immutafs/image names it. What else identifies a guest is the work of virt-sysprep(1).
 */
export function planImage(look: Snapshot): Planned {
  const { reader } = look;
  const parts = [machineId(reader), hostKeys(look), randomSeeds(reader), imageName(look)];
  const needed = parts.filter(({ actions }) => actions.length > 0);
  const actions = needed.flatMap((part) => part.actions);
  const why = (needed.length > 0 ? needed : parts).map((part) => part.why);
  return stepOf(actions.length > 0 ? 'needed' : 'done', why, actions);
}

interface Part {
  why: string;
  actions: Action[];
}

/**
 * Empties the machine ID. systemd then derives it from the UUID that the hypervisor gives each guest (machine-id(5)).
 * Without the file, systemd does not boot on a read-only /etc. Files with a copy of the ID are removed (D-Bus).
 */
function machineId(reader: SystemReader): Part {
  const before = reader.readIfPresent(machineIdFile, 4096) ?? null;
  const copy = '/var/lib/dbus/machine-id';
  const actions: Action[] = [
    ...when<Action>(before !== '', { do: 'edit', file: machineIdFile, before, after: '' }),
    ...when<Action>(reader.stat(copy)?.kind === 'file', { do: 'erase', files: [copy] }),
  ];
  const why =
    actions.length === 0
      ? `${machineIdFile} is empty: each guest derives its machine ID from its SMBIOS UUID.`
      : `All guests of the image would have the machine ID in ${machineIdFile}: it will be empty, so that each guest derives its ID from its SMBIOS UUID.`;
  return { why, actions };
}

/** Removes the host keys: with the keys of an image, each guest could pose as every other one. */
function hostKeys({ reader, config }: Snapshot): Part {
  const names = namesIfThere(reader, keyFolder).filter((name) =>
    /^ssh_host_.*_key(\.pub|-cert\.pub)?$/.test(name),
  );
  if (names.length === 0) return { why: 'The image has no SSH host keys.', actions: [] };
  const instead =
    config.SEED === 'host'
      ? 'Each guest gets those of its seed (SEED=host).'
      : `A sealed guest can generate keys only if OVERLAY or PERSIST makes ${keyFolder} writable, or get them from a seed of the host (SEED=host).`;
  return {
    why: `All guests of the image would have the SSH host keys in ${keyFolder}: they will be removed. ${instead}`,
    actions: [{ do: 'erase', files: names.map((name) => `${keyFolder}/${name}`) }],
  };
}

/** Removes the random seed, which every guest would credit at each boot (systemd-random-seed(8)). */
function randomSeeds(reader: SystemReader): Part {
  const files = seeds.filter((file) => reader.stat(file) !== undefined);
  if (files.length === 0) return { why: 'The image has no random seed.', actions: [] };
  return {
    why: `All guests of the image would start with the random seed in ${files.join(', ')}: it will be removed.`,
    actions: [{ do: 'erase', files }],
  };
}

/** Writes name and version of the image, if the command line has them. An unchanged version keeps its build time. */
function imageName({ reader, settings }: Snapshot): Part {
  const { imageName: name, imageVersion: version } = settings;
  const { image, problems } = readImage(reader);
  if (name === undefined || version === undefined) {
    const state =
      image === undefined ? 'does not name the image' : `names the image: ${image.name} ${image.version}`;
    const hint = image === undefined ? ': use --image-name and --image-version' : '';
    return { why: [...problems, `${imageFile} ${state}${hint}.`].join(' '), actions: [] };
  }
  if (image?.name === name && image.version === version && problems.length === 0)
    return { why: `${imageFile} names the image: ${name} ${version}.`, actions: [] };
  const before = reader.readIfPresent(imageFile, 65536) ?? null;
  const after = imageText({ name, version, built: `${reader.now().toISOString().slice(0, 19)}Z` });
  return {
    why: `${imageFile} will name the image: ${name} ${version}.`,
    actions: [{ do: 'edit', file: imageFile, before, after }],
  };
}
