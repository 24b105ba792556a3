import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { execa } from 'execa';
import { linkCollection } from './collection.ts';

/** The result of one task of the module `guest`. */
export interface TaskResult {
  failed: boolean;
  changed?: boolean;
  rc?: number | null;
  stdout?: string;
  msg?: string;
  /** Of the module `evidence`. */
  file?: string;
  sha256?: string;
  complete?: boolean;
  problems?: string[];
  boot_id?: string;
  notable?: { path: string }[];
}

/** The action plug-in `guest` with this machine as the guest, and with stubs for the programs of systemd. */
export interface LocalGuest {
  run: (args: Record<string, unknown>, module?: string, more?: readonly string[]) => Promise<TaskResult>;
  /** The environment of ansible, with the stubs in PATH. */
  env: Record<string, string>;
  /**
   * Returns the names that systemd-run was given for its units, in order of their start, such as "install-*.service".
   */
  units: () => string[];
  /** Returns the path of a file in the folder of the stubs, which jobs may use as well. */
  file: (name: string) => string;
}

/**
 * Stubs for the programs of systemd that the plug-in calls. A transient service is a background process, whose state is
 * in a file named after the unit.
 */
const stubs = {
  'systemd-run': `for arg; do
  shift
  case $arg in
    --unit=*) unit=\${arg#--unit=} ;;
    --) break ;;
  esac
done
# Replace two dollar signs with one, as systemd does.
for arg; do
  shift
  set -- "$@" "$(printf %s "$arg" | sed 's/[$][$]/$/g')"
done
echo "$unit" >>"$HOME/units"
printf 'SubState=running\\n' >"$HOME/state-$unit"
(
  "$@" >"$HOME/log-$unit" 2>&1
  rc=$?
  state=exited
  [ "$rc" -eq 0 ] || state=failed
  printf 'SubState=%s\\nResult=exit-code\\nExecMainStatus=%s\\n' "$state" "$rc" >"$HOME/state-$unit"
) >/dev/null 2>&1 &`,
  systemctl: `case $1 in
  show)
    for unit; do :; done
    cat "$HOME/state-$unit" 2>/dev/null || echo SubState=dead ;;
  list-units)
    for pattern; do :; done
    cd "$HOME"
    for state in state-$pattern; do
      ! grep -qs SubState=running "$state" || echo "  \${state#state-} loaded active running /usr/bin/sh"
    done ;;
  stop) rm -f "$HOME/state-$2" ;;
esac`,
  journalctl: `for arg; do case $arg in --unit=*) cat "$HOME/log-\${arg#--unit=}" ;; esac; done`,
};

/** Makes the collection available in a folder and returns the guest. @param folder empty; its stubs come first in PATH */
export function localGuest(folder: string): LocalGuest {
  const at = (name: string): string => path.join(folder, name);
  mkdirSync(at('bin'));
  for (const [name, text] of Object.entries(stubs)) {
    writeFileSync(at(`bin/${name}`), `#!/bin/sh\n${text}\n`);
    chmodSync(at(`bin/${name}`), 0o755);
  }
  const env = {
    PATH: `${at('bin')}:/usr/sbin:/usr/bin:/sbin:/bin`,
    LC_ALL: 'C.UTF-8',
    HOME: folder,
    ANSIBLE_COLLECTIONS_PATH: at('collections'),
    ANSIBLE_LOCALHOST_WARNING: '0',
    ANSIBLE_NOCOLOR: '1',
    PYTHONDONTWRITEBYTECODE: '1',
  };
  const options = { env, extendEnv: false, stdin: 'ignore', reject: false } as const;
  linkCollection(at('collections'));
  return {
    env,
    run: async (args, module = 'guest', more = []) => {
      const task = ['--module-name', `immutafs.agent.${module}`, '--args', JSON.stringify(args)];
      const command = ['localhost', '--connection', 'local', ...more, ...task];
      const { stdout, stderr } = await execa('/usr/bin/ansible', command, options);
      const [, word, result] = /^localhost \| (\S+) => (\{[\s\S]*)/m.exec(stdout) ?? [];
      if (result === undefined) throw new Error(stdout + stderr);
      return { ...(JSON.parse(result) as TaskResult), failed: word === 'FAILED!' };
    },
    units: () => readFileSync(at('units'), 'utf8').trim().split('\n'),
    file: at,
  };
}
