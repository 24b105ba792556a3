import fs from 'node:fs';
import { build } from 'esbuild';
import { projectFiles } from './files.ts';

/** What QuickJS does not have. */
const missing =
  /(?<!-)\b(Buffer|process|TextDecoder|TextEncoder|structuredClone|setTimeout|setInterval|queueMicrotask|URL|fetch|AbortSignal|Intl|Date|JSON|Promise|Proxy|console)\b(?=[.(])|\bnew RegExp\b|\basync\b(?!")|\bawait\b|\.(?:localeCompare|normalize)\(/g;

/** The rule of the seal in another language, or in a second function: drivers, the feature, and the levels of md. */
const rule = /virtio[_-]pci|VIRTIO_BLK_F_RO|vmw_pvscsi|md\/(?:level|degraded)/;
const ruleFiles = ['agent/facts/disks/evidence.ts', 'agent/facts/disks/block.ts'];

/**
 * Checks what immutafs-boot runs: no file that it imports uses Node, an npm package, or a function that QuickJS does not
 * have (boot/native/native.c); and no other program of the guest has a second rule of the seal.
 * @returns a line for each problem; empty if there is none
 */
export async function neutral(entry = 'boot/main.ts'): Promise<string> {
  const { metafile, outputFiles } = await build({
    entryPoints: [entry],
    absWorkingDir: process.cwd(),
    bundle: true,
    write: false,
    metafile: true,
    logLevel: 'silent',
    // A module of Node is an import that remains, and is reported below.
    platform: 'node',
    format: 'esm',
  });
  const files = Object.entries(metafile.inputs);
  const imported = files.flatMap(([file, { imports }]) =>
    imports
      .filter(({ path, external }) => external === true || path.includes('node_modules/'))
      .map(({ path }) => `${file} imports ${path}, which immutafs-boot does not have`),
  );
  // The bundle has no comments, and no function that nothing calls.
  const [text = ''] = outputFiles.map((file) => file.text);
  const used = [...new Set(text.match(missing))].map((name) => `immutafs-boot does not have ${name}`);
  return [...imported, ...used, ...secondRules()].join('\n');
}

function secondRules(): string[] {
  return projectFiles()
    .filter((file) => /^(?:boot|dracut|units|packaging\/programs|agent)\/.*(?<!\.md)$/.test(file))
    .filter((file) => !ruleFiles.includes(file) && fs.existsSync(file))
    .flatMap((file) => {
      const [text] = rule.exec(withoutComments(fs.readFileSync(file, 'utf8'))) ?? [];
      const instead = file.startsWith('agent/') ? `use ${ruleFiles[0]}` : 'call immutafs-boot';
      return text === undefined ? [] : [`${file} has a rule of the seal (${text}): ${instead}`];
    });
}

/** Without the comments of TypeScript and sh. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[^]*?\*\/|^\s*(?:\/\/|#).*$|(?<=\s)\/\/ .*$/gm, '');
}
