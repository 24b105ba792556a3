import { clean, decodeBytes, formatBytes, formatTable, shortList, wrap } from '../../lib/format.ts';
import { toJson } from '../../lib/unprintable.ts';
import { type Paint, painter } from '../../report/layout.ts';
import { diffLines } from '../../lib/diff.ts';
import { pathOf } from '../../config/keys.ts';
import type { ActionOf } from './context.ts';
import { type Plan, isDone } from './plan.ts';
import { nameInStore } from '../../facts/boot/kept-paths.ts';
import { type Action, type StateFinding, type Step, guestStepIds, stepIds } from './step.ts';

const columns = 100;
/** The least width of the names of the states. */
const stateWidth = 7;

export function planText(plan: Plan, color: boolean): string {
  if (plan.refused !== null) return `${lines(plan.refused, '').join('\n')}\n`;
  const paint = painter(color);
  const width = Math.max(stateWidth, ...plan.steps.map(({ state }) => state.length));
  const steps = plan.steps.flatMap((step) => stepLines(step, width, paint));
  return [...steps, '', ...summary(plan, paint), ''].join('\n');
}

/** Whether a plan is of an image: something is left for the first boot, or the step of images is planned. */
function isOfImage({ steps }: Plan): boolean {
  return steps.some(({ id, state }) => id === 'image' || state === 'at first boot');
}

/**
 * Formats a plan as a JSON object: whether every step is done, the reason for a refusal, and the steps (step.ts).
 * @param more further fields
 */
export function planJson(plan: Plan, more: object = {}): string {
  return `${toJson({ ...(decoded({ schema: 1, ready: isDone(plan), ...plan }) as object), ...more }, 2)}\n`;
}

/** Decodes every text in a value as UTF-8. @param value its texts have one character per byte */
function decoded(value: unknown): unknown {
  if (typeof value === 'string') return decodeBytes(value);
  if (Array.isArray(value)) return value.map(decoded);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, decoded(each)]));
}

/**
 * Formats a plan for `check --ready-to-seal`: whether the guest is ready, the steps that are not done, and where changes
 * of unknown origin were found that do not prevent sealing.
 */
export function readinessText(plan: Plan): string {
  if (plan.refused !== null) return planText(plan, false);
  if (isDone(plan)) return `Ready to seal.\n${firstBoot(plan)}${unexplained(plan)}`;
  const open = plan.steps.filter(({ state }) => state !== 'done' && state !== 'at first boot');
  return [
    'Not ready to seal:',
    ...open.flatMap((step) => [
      `  ${step.id}: ${step.state}: ${clean(decodeBytes(step.why.join(' ')))}`,
      ...findingLines(step, '    '),
    ]),
    firstBoot(plan),
  ].join('\n');
}

/** Lists what a guest that is started from an image examines at its first boot. */
function firstBoot({ steps }: Plan): string {
  const left = steps.filter(({ atFirstBoot }) => atFirstBoot !== undefined);
  if (left.length === 0) return '';
  return [
    'At the first boot, to be examined by `immutafs-agent check --ready-to-seal` in a guest whose disk is writable:',
    ...left.map(({ id, atFirstBoot = [] }) => `  ${id}: ${clean(decodeBytes(atFirstBoot.join(', ')))}`),
    '',
  ].join('\n');
}

function unexplained({ steps }: Plan): string {
  const found = steps
    .flatMap(({ writes = [] }) => writes)
    .filter(({ outcome, blocking }) => outcome === 'unknown' && !blocking)
    .map(({ directory, count }) => `${clean(decodeBytes(directory ?? '/'))} (${count})`);
  if (found.length === 0) return '';
  return `Changes of unknown origin, see \`immutafs-agent prepare --only writes\`: ${shortList(found, ', ', 10)}\n`;
}

const colorOf = {
  done: 'green',
  'at first boot': 'green',
  needed: 'yellow',
  'at next boot': 'yellow',
  blocked: 'red',
  'by hand': 'red',
} as const;

function stepLines(step: Step, width: number, paint: Paint): string[] {
  const { id, state, why, actions, stateFindings = [] } = step;
  const head = `  ${paint(colorOf[state], state.padEnd(width))}  ${id.padEnd(10)}`;
  const indent = ' '.repeat(width + 14);
  const reasons = why.flatMap((sentence) => lines(sentence, indent));
  return [
    `${head}${(reasons[0] ?? '').slice(indent.length)}`,
    ...reasons.slice(1),
    ...findingLines(step, '    '),
    ...(stateFindings.length === 0 ? [] : ['', ...stateFindings.flatMap(({ text }) => lines(text, indent))]),
    ...actions.flatMap((action) => actionLines(action, indent, paint)),
  ];
}

function lines(text: string, before: string): string[] {
  return wrap(clean(decodeBytes(text)), columns - before.length).map((line) => `${before}${line}`);
}

/**
 * Returns the findings of the step `state` as a table, each with its command below it, and further lines that can be
 * copied. None of these lines is wrapped.
 */
function findingLines({ stateFindings = [], copyable = [] }: Step, indent: string): string[] {
  if (stateFindings.length === 0) return [];
  const [head = '', ...rows] = formatTable([
    ['PATH', 'SIZE', 'UNIT', 'PROPOSAL'],
    ...stateFindings.flatMap(findingRows),
  ]);
  const found = stateFindings.flatMap((finding) => [
    ...rows.splice(0, findingRows(finding).length),
    `  ${clean(decodeBytes(finding.command))}`,
  ]);
  const others = copyable.flatMap(({ text, line }) => [text, `  ${clean(decodeBytes(line))}`]);
  return [head, ...found, ...others].map((line) => `${indent}${line}`);
}

/** The rows of a finding: one for each directory, of which the first one has the other columns. */
function findingRows({ directories, files, bytes, units, proposal, command }: StateFinding): string[][] {
  // Nothing can be moved in an image.
  const isOther = proposal === 'keep' && command.includes(' --accept ');
  const what = isOther ? 'keep, see below; or reset:' : proposalNames[proposal];
  return directories.map((directory, index) => {
    const others = [files === 0 ? 'empty' : formatBytes(bytes), units[0] ?? '-', what];
    return [decodeBytes(directory), ...(index === 0 ? others : others.map(() => ''))];
  });
}

const proposalNames: Readonly<Record<StateFinding['proposal'], string>> = {
  keep: 'keep',
  reset: 'reset',
  start: 'start once, then keep',
  separate: 'use a directory of its own; or reset:',
};

function actionLines(action: Action, indent: string, paint: Paint): string[] {
  const [first = '', ...more] = shown(action).map((line) => clean(decodeBytes(line.replaceAll('\t', '  '))));
  return [`${indent}${paint('bold', `> ${first}`)}`, ...more.map((line) => `${indent}  ${line}`)];
}

/** Describes an action, by the command that an administrator would use for it. */
function shown<Kind extends Action['do']>(action: ActionOf<Kind>): string[] {
  const lines = commands[action.do](action);
  return typeof lines === 'string' ? [lines] : lines;
}

const commands: { readonly [Kind in Action['do']]: (action: ActionOf<Kind>) => string | string[] } = {
  edit: ({ file, before, after }) => [`edit ${file}`, ...diffLines(before ?? '', after)],
  link: ({ to, file }) => `ln -sfn ${to} ${file}`,
  remove: ({ file }) => `rm ${file}`,
  run: ({ program, args }) => [program, ...args].join(' '),
  erase: ({ files }) => `rm ${files.join(' ')}`,
  rename: ({ from, to }) => `mv ${from} ${to}`,
  'partition-home': ({ wipe, disk }) =>
    `${wipe ? `wipefs --all ${disk}; ` : ''}parted -s -a optimal ${disk} mklabel gpt unit % mkpart immutafs-home xfs 0 100`,
  'format-home': ({ disk }) => `mkfs.xfs on the partition of ${disk}`,
  'plan-home': ({ disk }) => `at the next boot: move /home to ${disk}, and add its line to /etc/fstab`,
  'plan-state': ({ item, store }) =>
    `at the next boot: move ${pathOf(item)} to ${store}/${nameInStore(pathOf(item))}, and add ${item} to PERSIST`,
  'plan-rest': ({ path }) => `at the next boot: complete the move of ${path}`,
  'plan-purge': ({ path }) => `at the next boot: remove the old content of ${path} from the system disk`,
  'plan-clean-var': () => 'at the next boot: rotate logs and shorten journals',
};

function summary(plan: Plan, paint: Paint): string[] {
  const count = (state: Step['state']) => plan.steps.filter((step) => step.state === state).length;
  const open = (['needed', 'blocked', 'by hand', 'at next boot'] as const).filter(
    (state) => count(state) > 0,
  );
  if (open.length > 0) {
    const counts = open.map((state) => `${count(state)} ${state}`).join(', ');
    const how =
      count('needed') > 0
        ? ` \`immutafs-agent prepare ${isOfImage(plan) ? '--image ' : ''}--apply\` carries out the needed actions.`
        : '';
    const reboot = count('at next boot') > 0 ? ' Nothing is moved before a reboot: systemctl reboot' : '';
    return [`  ${counts}.${how}${reboot}`];
  }
  const ids = isOfImage(plan) ? stepIds : guestStepIds;
  // A plan has the step `scratch` only if the guest uses SCRATCH.
  const skipped = ids.filter((id) => id !== 'scratch' && !plan.steps.some((step) => step.id === id));
  if (skipped.length > 0) return [`  Nothing is left to do. Skipped steps: ${skipped.join(', ')}.`];
  if (isOfImage(plan))
    return [
      `  ${paint('bold', 'Ready to seal.')} A guest that is started from this image can run with a read-only disk. What is listed as`,
      '  "at first boot" is examined by `immutafs-agent check --ready-to-seal` in a guest whose disk is writable.',
    ];
  return [
    `  ${paint('bold', 'Ready to seal.')} Shut this guest down with \`systemctl poweroff\`: a guest that is killed leaves file systems`,
    '  that cannot be recovered on a read-only disk. Then make its disk read-only on the host',
    '  (virt-xml GUEST --edit target=vda --disk readonly=on), and start the guest.',
  ];
}
