import type { Facts } from '../observe/facts.ts';
import type { Mount } from '../observe/mountinfo.ts';
import { seen } from '../observe/observed.ts';
import type { Check } from './check.ts';

/** Where dracut/assemble-var puts the layers. */
export const layers = { lower: '/run/immutafs/lower', upper: '/run/var/upper', work: '/run/var/work' };

/** OVERLAYFS_SUPER_MAGIC (linux/magic.h). */
const overlayMagic = 0x794c7630;

/** /var is an overlay of the disk's own /var, read-only, and the upper layer of ours. */
export const varOverlay: Check = {
  id: 'var-overlay',
  severity: 'required',
  seal: true,
  messageId: 'e8b8d8df4733454eaaff9d94a5412f9d',
  documentation: {
    title: "/var is an overlay in RAM over the disk's own /var",
    means:
      "/var is an overlay whose lower layer is the disk's own /var, mounted read-only, and whose upper layer is the one that the boot made; so is every file system below /var that is on a sealed disk.",
    why: 'Without it, programs cannot write to /var and fail in many ways; with another upper layer, what they write may outlive a reboot.',
    mend: 'See `journalctl -b -t immutafs` and /run/immutafs/boot.env for what the boot could not do, mend that and reboot.',
  },
  evaluate: (facts) => {
    const wrong = problems(facts);
    const expected = "an overlay, the disk's own /var below it";
    if (wrong.length === 0) {
      return { status: 'pass', subject: '/var', expected, observed: 'overlay', remedy: '' };
    }
    const handoff = 'value' in facts.handoff ? facts.handoff.value : undefined;
    const observed = [...wrong, ...(handoff?.errors ?? [])].join('; ');
    const remedy = 'See `journalctl -b -t immutafs` and /run/immutafs/boot.env, mend the cause and reboot.';
    return { status: 'fail', subject: '/var', expected, observed, remedy };
  },
};

function problems(facts: Facts): string[] {
  const mount = facts.mounts.serving('/var');
  if (mount === undefined) throw new Error('no mount serves /var');
  if (mount.target !== '/var')
    return [`/var is no mount of its own but part of ${mount.target} (${mount.type})`];
  if (mount.type !== 'overlay') return [`/var is ${mount.type}, not overlay`];
  const lower = facts.mounts.serving(layers.lower);
  const wanted = facts.config.VAR_OPTIONS.split(',').filter((option) => option !== '');
  const missing = wanted.filter((option) => !mount.options.includes(option));
  return [
    ...layerProblems(mount),
    ...(seen(facts.varUsage).type === overlayMagic
      ? []
      : ['statfs(2) of /var does not answer as an overlay']),
    ...(missing.length === 0 ? [] : [`/var lacks ${missing.join(',')}`]),
    ...(mount.options.includes('rw') ? [] : ['/var is read-only']),
    ...(lower?.target === layers.lower && lower.options.includes('ro')
      ? []
      : [`${layers.lower} is not mounted read-only`]),
  ];
}

function layerProblems({ superOptions }: Mount): string[] {
  const wanted = [`lowerdir=${layers.lower}`, `upperdir=${layers.upper}`, `workdir=${layers.work}`];
  return wanted
    .filter((option) => !superOptions.includes(option))
    .map((option) => `the overlay has no ${option}`);
}
