import type { Command } from 'commander';
import { checks } from '../../agent/checks/index.ts';
import { commandLine } from '../../agent/cli.ts';

/** Bash completion. Works with and without the package bash-completion, which only finds the file. */
export function completion(): string {
  const commands = commandLine().commands;
  const names = [...commands.map((command) => command.name()), 'help', '--help', '--version'].join(' ');
  return `# Completion of immutafs-agent, made by packaging/docs/docs.ts from the program's own tables.

_immutafs_agent() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} words=''
  # Readline splits --option=value at the equals sign.
  if [[ $word == '=' ]]; then
    word=''
  elif [[ $before == '=' ]]; then
    before=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  if [[ $COMP_CWORD -eq 1 ]]; then
    words='${names}'
  else
    case \${COMP_WORDS[1]}:$before in
${commands.flatMap(values).join('\n')}
      help:help) words='${commands.map((command) => command.name()).join(' ')}' ;;
${commands.map(options).join('\n')}
    esac
  fi
  # shellcheck disable=SC2207 # words without spaces
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}

complete -F _immutafs_agent immutafs-agent
`;
}

/** What may follow an option. */
function values(command: Command): string[] {
  return command.options.flatMap(({ long, argChoices, hidden }) => {
    const words = long === '--explain' ? checks.map(({ id }) => id) : argChoices;
    if (hidden || words === undefined) return [];
    return [`      ${command.name()}:${long ?? ''}) words='${words.join(' ')}' ;;`];
  });
}

function options(command: Command): string {
  const shown = command.options.filter(({ hidden }) => !hidden).map(({ long }) => long ?? '');
  return `      ${command.name()}:*) words='${[...shown, '--help'].join(' ')}' ;;`;
}
