import fs from 'node:fs';
import path from 'node:path';
import { projectFiles } from './files.ts';

/**
 * The layers of each folder, the lowest first. A file imports only from lower layers and from its own layer; a type-only
 * import is also an import. Entries on one line do not import each other. If several entries match a file, the longest
 * entry applies.
 */
const orders: Readonly<Record<string, readonly (readonly string[])[]>> = {
  agent: [
    ['lib/'],
    ['system/'],
    ['config/', 'services/'],
    ['facts/'],
    ['assess/'],
    ['checks/'],
    ['controls/'],
    ['report/', 'changes/', 'identity/'],
    ['evaluate.ts'],
    ['forward/stages.ts'],
    ['forward/journal/', 'forward/files/', 'prepare/engine/'],
    ['forward/encode/', 'prepare/move/'],
    ['prepare/rehearsal/'],
    ['prepare/steps/', 'prepare/home/'],
    ['prepare/at-boot/'],
    ['forward/transport/', 'prepare/prepare.ts'],
    ['forward/status/'],
    ['forward/pipeline/'],
    ['commands/'],
    ['cli.ts'],
    ['main.ts'],
  ],
  // What all phases use, the phases in the order in which a boot reaches them, and the generator, which writes the units of all.
  boot: [
    ['native/'],
    ['guest/'],
    ['identity/'],
    ['rehearsal/'],
    ['initramfs/'],
    ['persist/'],
    ['scratch/'],
    ['seed/', 'move/'],
    ['root/'],
    ['generator/'],
    ['commands.ts'],
    ['main.ts'],
  ],
};

/** @returns a line for each import of a higher layer and for each import circle; empty if there are no such imports */
export function layers(): string {
  const files = projectFiles().filter((file) => /^(?:agent|boot)\/.*\.ts$/.test(file));
  const graph = new Map(files.map((file) => [file, imports(file)]));
  const wrong = files.flatMap((file) => {
    if (layerOf(file) === undefined) return [`${file}: add its layer to test/lint/layers.ts`];
    return (graph.get(file) ?? []).flatMap((imported) => problem(file, imported));
  });
  return [...wrong, ...circles(graph)].join('\n');
}

function problem(file: string, imported: string): string[] {
  if (/^agent.*>boot\//.test(`${file}>${imported}`))
    return [`${file} imports ${imported}, which is not of the agent`];
  if (file.split('/')[0] !== imported.split('/')[0]) return [];
  const [own, other] = [layerOf(file), layerOf(imported)];
  if (own === undefined || other === undefined || other.rank < own.rank || other.name === own.name) return [];
  return [`${file} imports ${imported}, which is not in a lower layer`];
}

/** Returns the relative imports of a file, as paths from the project's folder. */
export function imports(file: string): string[] {
  const text = fs.readFileSync(file, 'utf8');
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']*)'/g)].map(([, to = '']) =>
    path.join(path.dirname(file), to),
  );
}

function layerOf(file: string): { name: string; rank: number } | undefined {
  const [folder = ''] = file.split('/', 1);
  const inFolder = file.slice(folder.length + 1);
  const matches = (orders[folder] ?? []).flatMap((names, rank) =>
    names
      .filter((name) => (name.endsWith('/') ? inFolder.startsWith(name) : inFolder === name))
      .map((name) => ({ name, rank })),
  );
  return matches.sort((a, b) => b.name.length - a.name.length)[0];
}

/**
 * Finds groups of files that import each other directly or through other files (Tarjan's strongly connected
 * components).
 */
function circles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const index = new Map<string, number>();
  const stack: string[] = [];
  const found: string[] = [];
  const visit = (file: string): number => {
    const own = index.size;
    index.set(file, own);
    stack.push(file);
    let lowest = own;
    for (const next of graph.get(file) ?? []) {
      if (!graph.has(next)) continue;
      if (!index.has(next)) lowest = Math.min(lowest, visit(next));
      else if (stack.includes(next)) lowest = Math.min(lowest, index.get(next) ?? lowest);
    }
    if (lowest === own) {
      const circle = stack.splice(stack.indexOf(file));
      if (circle.length > 1 || (graph.get(file) ?? []).includes(file)) {
        found.push(`import circle: ${circle.sort().join(', ')}`);
      }
    }
    return lowest;
  };
  for (const file of graph.keys()) if (!index.has(file)) visit(file);
  return found;
}
