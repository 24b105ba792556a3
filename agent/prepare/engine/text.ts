import { clean, decodeBytes, wrap } from '../../lib/format.ts';
import { toJson } from '../../lib/unprintable.ts';
import { type Paint, painter } from '../../lib/color.ts';
import { diffLines } from './diff.ts';
import { type Plan, isDone } from './plan.ts';
import { type Action, type Step, stepIds } from './step.ts';

const columns = 100;
const indent = ' '.repeat(21);

/** The plan for people: a step each with its reasons, and what would be done. */
export function planText(plan: Plan, color: boolean): string {
  if (plan.refused !== null) return `${lines(plan.refused, '').join('\n')}\n`;
  const paint = painter(color);
  return [...plan.steps.flatMap((step) => stepLines(step, paint)), '', ...summary(plan, paint), ''].join(
    '\n',
  );
}

/** One JSON object: whether all is done, why nothing can be, and the steps (agent/prepare/engine/step.ts). */
export function planJson(plan: Plan): string {
  return `${toJson(decoded({ schema: 1, ready: isDone(plan), ...plan }), 2)}\n`;
}

/** The texts in a value have one character a byte. */
function decoded(value: unknown): unknown {
  if (typeof value === 'string') return decodeBytes(value);
  if (Array.isArray(value)) return value.map(decoded);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, decoded(each)]));
}

/** A few lines for `check --ready-to-seal`. */
export function readinessText(plan: Plan): string {
  if (plan.refused !== null) return planText(plan, false);
  if (isDone(plan)) return 'Ready to seal.\n';
  const open = plan.steps.filter(({ state }) => state !== 'done');
  return [
    'Not ready to seal:',
    ...open.map(({ id, state, why }) => `  ${id}: ${state}: ${clean(decodeBytes(why.join(' ')))}`),
    '',
  ].join('\n');
}

const colorOf = { done: 'green', needed: 'yellow', blocked: 'red', 'by hand': 'red' } as const;

function stepLines({ id, state, why, actions }: Step, paint: Paint): string[] {
  const head = `  ${paint(colorOf[state], state.padEnd(7))}  ${id.padEnd(10)}`;
  const reasons = why.flatMap((sentence) => lines(sentence, indent));
  return [
    `${head}${(reasons[0] ?? '').slice(indent.length)}`,
    ...reasons.slice(1),
    ...actions.flatMap((action) => actionLines(action, paint)),
  ];
}

function lines(text: string, before: string): string[] {
  return wrap(clean(decodeBytes(text)), columns - before.length).map((line) => `${before}${line}`);
}

function actionLines(action: Action, paint: Paint): string[] {
  const [first = '', ...more] = shown(action).map((line) => clean(decodeBytes(line.replaceAll('\t', '  '))));
  return [`${indent}${paint('bold', `> ${first}`)}`, ...more.map((line) => `${indent}  ${line}`)];
}

/** As an administrator would do it. */
function shown(action: Action): string[] {
  switch (action.do) {
    case 'edit':
      return [`edit ${action.file}`, ...diffLines(action.before ?? '', action.after)];
    case 'link':
      return [`ln -sfn ${action.to} ${action.file}`];
    case 'remove':
      return [`rm ${action.file}`];
    case 'run':
      return [[action.program, ...action.args].join(' ')];
    case 'rename':
      return [`mv ${action.from} ${action.to}`];
    case 'move-home':
      return [`move /home to ${action.disk}${action.wipe ? ', which loses what it holds' : ''}`];
    case 'purge-home':
      return ["remove the old content of /home from the system's disk"];
  }
}

function summary(plan: Plan, paint: Paint): string[] {
  const count = (state: Step['state']) => plan.steps.filter((step) => step.state === state).length;
  const left = (['needed', 'blocked', 'by hand'] as const).filter((state) => count(state) > 0);
  if (left.length > 0) {
    const counts = left.map((state) => `${count(state)} ${state}`).join(', ');
    const how = count('needed') > 0 ? ' `immutafs-agent prepare --apply` does what is needed.' : '';
    return [`  ${counts}.${how}`];
  }
  const skipped = stepIds.filter((id) => !plan.steps.some((step) => step.id === id));
  if (skipped.length > 0) return [`  Nothing is left to do; not looked at: ${skipped.join(', ')}.`];
  return [
    `  ${paint('bold', 'Ready to seal.')} Shut this guest down with \`systemctl poweroff\`: killed or cut off, it would leave file`,
    '  systems that cannot be recovered on a read-only disk. Then, on its host, make its disk read-only',
    '  (virt-xml GUEST --edit target=vda --disk readonly=on), and start it.',
  ];
}
