import fs from 'node:fs';
import path from 'node:path';
import { type ConfigProblem, formatProblem, parseConfig } from '../../agent/config/config.ts';
import { inTemporaryDirectory } from '../harness/temporary.ts';
import { type Shell, withLibrary } from './shells.ts';

/** The result of a parser: the values of the keys that the boot uses, and the warnings. */
export interface Parsed {
  values: string[];
  warnings: string[];
}

const bootKeys = [
  ...(['MODE', 'VAR_SIZE', 'VAR_INODES', 'VAR_OPTIONS', 'OVERLAY', 'PERSIST', 'PERSIST_STORE'] as const),
  ...([
    'SCRATCH',
    'SCRATCH_DEVICE',
    'MOUNT_OPTIONS',
    'SEED',
    'SEED_TIMEOUT',
    'ON_FAILURE',
    'ON_IMPOSTOR',
  ] as const),
];

export function byAgent(text: string): Parsed & { agentOnly: string[] } {
  const { config, problems } = parseConfig(text);
  // Only the agent says what may have been meant.
  const plain = (problem: ConfigProblem) => formatProblem({ ...problem, hint: '' });
  return {
    values: bootKeys.map((key) => `${key}=${config[key]}`),
    warnings: problems.filter((problem) => !isAgentOnly(problem)).map(plain),
    agentOnly: problems.filter(isAgentOnly).map(plain),
  };
}

/**
 * Whether only the agent reports a problem, because the boot scripts do not check the values of keys that they do not
 * use.
 */
function isAgentOnly({ key, reason }: ConfigProblem): boolean {
  return (
    /^(an item: |[!-~]+: )?must be |^[0-9]+% is above /.test(reason) && !bootKeys.some((each) => each === key)
  );
}

const lines = `
cd "$1" || exit 1
for file in [0-9]*; do
  warnings=''
  read_config "$file"
  printf '%s\\n' "== $file" "MODE=$conf_MODE" "VAR_SIZE=$conf_VAR_SIZE" "VAR_INODES=$conf_VAR_INODES" \\
    "VAR_OPTIONS=$conf_VAR_OPTIONS" "OVERLAY=$conf_OVERLAY" "PERSIST=$conf_PERSIST" \\
    "PERSIST_STORE=$conf_PERSIST_STORE" "SCRATCH=$conf_SCRATCH" "SCRATCH_DEVICE=$conf_SCRATCH_DEVICE" \\
    "MOUNT_OPTIONS=$conf_MOUNT_OPTIONS" "SEED=$conf_SEED" "SEED_TIMEOUT=$conf_SEED_TIMEOUT" "ON_FAILURE=$conf_ON_FAILURE" \\
    "ON_IMPOSTOR=$conf_ON_IMPOSTOR"
  printf %s "$warnings"
done 2>/dev/null
`;

/** Parses all texts in one run of the shell, because starting a shell takes longer than parsing a text. */
export function byShell(shell: Shell, texts: readonly string[]): Parsed[] {
  return inTemporaryDirectory((folder) => {
    const names = texts.map((_, index) => String(100000 + index));
    texts.forEach((text, index) => {
      fs.writeFileSync(path.join(folder, names[index] ?? ''), text, 'latin1');
    });
    const output = withLibrary(shell, lines, folder);
    return names.map((name) => read(output, name));
  });
}

function read(output: string, name: string): Parsed {
  const begin = output.indexOf(`== ${name}\n`);
  if (begin < 0) throw new Error(`no output for ${name}`);
  const end = output.indexOf('\n== ', begin);
  const [, ...printed] = output
    .slice(begin, end < 0 ? undefined : end)
    .replace(/\n$/, '')
    .split('\n');
  return {
    values: printed.slice(0, bootKeys.length),
    warnings: printed
      .slice(bootKeys.length)
      .map((line) => line.replace(`${name}:`, '/etc/immutafs/immutafs.conf:')),
  };
}
