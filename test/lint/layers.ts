import fs from 'node:fs';
import path from 'node:path';
import { projectFiles } from './files.ts';

/**
 * The layers of agent/, the lowest first. A file imports from lower layers, and from its own folder; an import
 * of types only is an import.
 */
const order: readonly (readonly string[])[] = [
  ['unprintable.ts', 'host/open-flags.ts', 'host/random-name.ts'],
  ['config-keys.ts', 'errors.ts', 'format.ts', 'paint.ts', 'version.ts', 'systemd-journald.d.ts'],
  ['host/', 'probe/'],
  ['host.ts'],
  ['config.ts', 'journal.ts'],
  ['observe/'],
  ['checks/'],
  ['messages.ts'],
  [
    'prepare/step.ts',
    'prepare/look.ts',
    'prepare/kernels.ts',
    'prepare/doing.ts',
    'prepare/journal.ts',
    'prepare/fstab/',
    'prepare/initramfs/',
  ],
  ['prepare/home/', 'prepare/steps/'],
  ['report/', 'forward/', 'prepare/'],
  ['commands/'],
  ['cli.ts'],
  ['main.ts'],
];

export function layers(): string {
  const files = projectFiles().filter((file) => /^agent\/.*\.ts$/.test(file));
  return files
    .flatMap((file) => {
      if (rank(file) === undefined) return [`${file}: name its layer in test/lint/layers.ts`];
      return imports(file).flatMap((imported) => problem(file, imported));
    })
    .join('\n');
}

function problem(file: string, imported: string): string[] {
  if (!imported.startsWith('agent/')) return [];
  const [own, other] = [rank(file), rank(imported)];
  if (own === undefined || other === undefined || other < own) return [];
  if (own === other && path.dirname(file) === path.dirname(imported) && path.dirname(file) !== 'agent')
    return [];
  return [`${file} imports ${imported}, which is not below it`];
}

/** Relative ones, as paths from the project's folder. */
function imports(file: string): string[] {
  const text = fs.readFileSync(file, 'utf8');
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']*)'/g)].map(([, to = '']) =>
    path.join(path.dirname(file), to),
  );
}

function rank(file: string): number | undefined {
  const index = order.findIndex((layer) => layer.some((each) => isIn(file, each)));
  return index < 0 ? undefined : index;
}

function isIn(file: string, layer: string): boolean {
  const inAgent = file.slice('agent/'.length);
  return layer.endsWith('/') ? inAgent.startsWith(layer) : inAgent === layer;
}
