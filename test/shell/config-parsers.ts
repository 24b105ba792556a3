import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type ConfigProblem, formatProblem, parseConfig } from '../../agent/config/config.ts';
import { withLibrary } from './shells.ts';

/** What both parsers must make of a text: the values of the boot, and the warnings. */
export interface Parsed {
  values: string[];
  warnings: string[];
}

const bootKeys = ['MODE', 'VAR_SIZE', 'VAR_INODES', 'VAR_OPTIONS', 'ON_FAILURE', 'ON_IMPOSTOR'] as const;

export function byAgent(text: string): Parsed & { agentOnly: string[] } {
  const { config, problems } = parseConfig(text);
  return {
    values: bootKeys.map((key) => `${key}=${config[key]}`),
    warnings: problems.filter((problem) => !isAgentOnly(problem)).map(formatProblem),
    agentOnly: problems.filter(isAgentOnly).map(formatProblem),
  };
}

/** The boot scripts do not look at the values of keys that mean nothing to them. */
function isAgentOnly({ key, reason }: ConfigProblem): boolean {
  return reason.startsWith('must be ') && !bootKeys.some((each) => each === key);
}

const lines = `
cd "$1" || exit 1
for file in [0-9]*; do
  warnings=''
  read_config "$file"
  printf '%s\\n' "== $file" "MODE=$conf_MODE" "VAR_SIZE=$conf_VAR_SIZE" "VAR_INODES=$conf_VAR_INODES" \\
    "VAR_OPTIONS=$conf_VAR_OPTIONS" "ON_FAILURE=$conf_ON_FAILURE" \\
    "ON_IMPOSTOR=$conf_ON_IMPOSTOR"
  printf %s "$warnings"
done 2>/dev/null
`;

/** All of the texts in one run of the shell, since a run takes longer than a text. */
export function byShell(shell: readonly [string, ...string[]], texts: readonly string[]): Parsed[] {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'immutafs-config-'));
  try {
    const names = texts.map((_, index) => String(100000 + index));
    texts.forEach((text, index) => {
      fs.writeFileSync(path.join(folder, names[index] ?? ''), text, 'latin1');
    });
    const said = withLibrary(shell, lines, folder);
    return names.map((name) => read(said, name));
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

function read(said: string, name: string): Parsed {
  const begin = said.indexOf(`== ${name}\n`);
  if (begin < 0) throw new Error(`no answer for ${name}`);
  const end = said.indexOf('\n== ', begin);
  const [, ...answer] = said
    .slice(begin, end < 0 ? undefined : end)
    .replace(/\n$/, '')
    .split('\n');
  return {
    values: answer.slice(0, bootKeys.length),
    warnings: answer
      .slice(bootKeys.length)
      .map((line) => line.replace(`${name}:`, '/etc/immutafs/immutafs.conf:')),
  };
}
