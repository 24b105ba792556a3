import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { type Test, suite } from 'uvu';
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
  /**
   * Runs a task.
   * @param more further arguments of ansible
   * @param name if set, the file `shown-NAME` exists when the task has asked for the state of its job
   */
  run: (
    args: Record<string, unknown>,
    module?: string,
    more?: readonly string[],
    name?: string,
  ) => Promise<TaskResult>;
  /** Runs ansible-playbook. @param args the playbook and further arguments, or the tasks of a play for this guest */
  play: (
    variables: Record<string, unknown>,
    args: readonly string[] | readonly object[],
  ) => Promise<{ all: string; exitCode?: number | undefined }>;
  /**
   * Returns the names that systemd-run was given for its units, in order of their start, such as "install-*.service".
   */
  units: () => string[];
  /** Returns the path of a file in the folder of the stubs, which jobs may use as well. */
  file: (name: string) => string;
}

/**
 * Stubs for the programs of systemd that the plug-in calls. A transient service is a session of its own (setsid(2)) in
 * the background, whose state is in a file named after the unit.
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
unit=\${unit%.service}
printf 'SubState=running\\n' >"$HOME/state-$unit"
setsid sh -c '
  unit=$0
  "$@" >"$HOME/log-$unit" 2>&1
  rc=$?
  state=exited result=success
  [ "$rc" -eq 0 ] || state=failed result=exit-code
  [ "$rc" -le 128 ] || result=signal rc=$((rc - 128))
  printf "SubState=%s\\nResult=%s\\nExecMainStatus=%s\\n" "$state" "$result" "$rc" >"$HOME/state-$unit"
' "$unit" "$@" >/dev/null 2>&1 &
echo $! >"$HOME/session-$unit"`,
  systemctl: `case $1 in
  show)
    for unit; do :; done
    cat "$HOME/state-\${unit%.service}" 2>/dev/null || echo SubState=dead
    [ -z "\${TASK-}" ] || echo >"$HOME/shown-$TASK" ;;
  list-units)
    for pattern; do :; done
    cd "$HOME"
    for state in state-\${pattern%.service}; do
      ! grep -qs SubState=running "$state" || echo "  \${state#state-}.service loaded active running /usr/bin/sh"
    done ;;
  reset-failed)
    rm "$HOME/state-\${2%.service}" ;;
  stop)
    unit=\${2%.service}
    pkill -KILL --session "$(cat "$HOME/session-$unit")"
    rm -f "$HOME/state-$unit" ;;
esac`,
  // With --since and --lines, journalctl of RHEL 9 prints the first lines.
  journalctl: `lines='$'
for arg; do case $arg in --unit=*) unit=\${arg#--unit=} ;; --lines=*) lines=\${arg#--lines=} ;; esac; done
sed "$lines"q "$HOME/log-\${unit%.service}"`,
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
  const options = { extendEnv: false, stdin: 'ignore', reject: false } as const;
  linkCollection(at('collections'));
  return {
    play: (variables, args) => {
      const tasks = args.filter((each) => typeof each === 'object');
      const play = { hosts: 'localhost', connection: 'local', gather_facts: false, tasks };
      if (tasks.length > 0) writeFileSync(at('book.json'), JSON.stringify([play]));
      const rest = tasks.length > 0 ? [at('book.json')] : args.filter((each) => typeof each === 'string');
      const command = ['-e', JSON.stringify(variables), ...rest];
      return execa('/usr/bin/ansible-playbook', command, { ...options, env, all: true });
    },
    run: async (args, module = 'guest', more = [], name = '') => {
      const task = ['--module-name', `immutafs.agent.${module}`, '--args', JSON.stringify(args)];
      const command = ['localhost', '--connection', 'local', ...more, ...task];
      const { stdout, stderr } = await execa('/usr/bin/ansible', command, {
        ...options,
        env: { ...env, TASK: name },
      });
      const [, word, result] = /^localhost \| (\S+) => (\{[\s\S]*)/m.exec(stdout) ?? [];
      if (result === undefined) throw new Error(stdout + stderr);
      return { ...(JSON.parse(result) as TaskResult), failed: word === 'FAILED!' };
    },
    units: () => readFileSync(at('units'), 'utf8').trim().split('\n'),
    file: at,
  };
}

/** Returns a suite whose tests each have a guest, and the folder of its stubs, which is removed afterwards. */
export function guestSuite(title: string): Test<{ guest: LocalGuest; folder: string }> {
  const tests = suite<{ guest: LocalGuest; folder: string }>(title);
  tests.before.each((context) => {
    context.folder = mkdtempSync(path.join(tmpdir(), 'immutafs-test-'));
    context.guest = localGuest(context.folder);
  });
  tests.after.each(({ folder }) => {
    rmSync(folder, { recursive: true });
  });
  return tests;
}
