import fs from 'node:fs';
import { projectFiles } from './files.ts';

/** Texts that belong to a developer's machine and not to the project. */
const forbidden: { pattern: RegExp; why: string }[] = [
  { pattern: /(?<![\w./$}{-])\/(work|home\/\w+\/src)\/[\w.]/, why: 'a path of a developer machine' },
  { pattern: /^ *"resolved": "(?!https:\/\/registry\.npmjs\.org\/)/, why: 'not from the public registry' },
  { pattern: /\bhttps?:\/\/[\w.-]+\.(internal|corp|lan|intranet)\b/, why: 'a host that is not public' },
];

export function forbiddenWords(): string {
  const files = projectFiles().filter((file) => !file.startsWith('test/fixtures/mountinfo/'));
  return files.flatMap((file) => problems(file, fs.readFileSync(file, 'latin1'))).join('\n');
}

function problems(file: string, text: string): string[] {
  return text
    .split('\n')
    .flatMap((line, index) =>
      forbidden
        .filter(({ pattern }) => pattern.test(line))
        .map(({ why }) => `${file}:${index + 1}: ${why}: ${line.trim().slice(0, 160)}`),
    );
}
