import { type Action, type Session, endings, verbs } from './grammar.ts';
import { dataDirectories, mountTools, resumeUuid } from './guest.ts';
import { plants } from './places.ts';

/**
 * The steps of one boot: the fingerprint, then, if there is a session, the attack. After a soft reboot, which starts the steps
 * again, the machine is switched off.
 */
export function stepsOf(session?: Session): Record<string, string> {
  const fingerprint = `[ ! -e /run/attacked ] || { echo o >/proc/sysrq-trigger; sleep 60; }
${mountTools}./collect ${dataDirectories.join(' ')}
${systemctl} list-units --all --full --plain --no-legend | ./busybox sed 's/^/unit\t/'`;
  return session === undefined ? { fingerprint } : { fingerprint, attack: attackText(session) };
}

const systemctl = '/media/ld-linux-x86-64.so.2 --library-path /media /media/systemctl';

/** The period of the signals by which the attack measures time, in seconds of the guest's time. */
const tickSeconds = 10;
/** An action that hangs, for example on a disk that is full or was removed, is left behind after so many signals. */
const ticksOfAction = 3;
/** After so many signals, no further action but the last one is tried. */
const ticksOfAttack = 35;
/** An attack that has not ended by then ends by a power cut, in seconds of the guest's time. */
const limitSeconds = 450;
/** What the attack reports instead of the exit code of an action for which no time was left. */
export const notTried = -1;

/**
 * Returns the program of an attack for busybox. It reports the exit code of each action itself, on the port that the test's
 * program has opened as file 3, because the attack may prevent all other programs.
 */
export function attackText({ actions, ending }: Session): string {
  const used = new Set(actions.map(([verb]) => verb));
  return `[ -n "$again" ] || { ${mountTools}again=1 exec ./busybox sh "$0"; }
touch /run/attacked; exec 5>/proc/sysrq-trigger; /usr/sbin/modprobe -a loop vfat
(sleep ${limitSeconds}; echo o >&5) </dev/null >/dev/null 2>&1 &
ticks=0 since=0
trap 'ticks=$((ticks + 1)) since=$((since + 1))' ALRM
(while sleep ${tickSeconds}; do kill -ALRM $$ || exit; done) </dev/null >/dev/null 2>&1 &
resume=${resumeUuid} codes=
systemctl() { ${systemctl} "$@"; }
free() { swapoff -a; umount -l /dev/vdf; }
content() {
case $1 in
${[...plants].map(([path, text]) => `${quote(path)}) printf '%s\\n' ${quote(text)};;`).join('\n')}
*) echo planted;;
esac; }
${[...used].map((verb) => `do_${verb}() { ${verbOf(verb).sh}\n}`).join('\n')}
act() {
if [ $ticks -ge ${ticksOfAttack} ]; then codes="$codes ${notTried}"; return; fi
since=0; ("do_$@") </dev/null >/dev/null 2>&1 &
while wait $!; code=$?; [ $code = 142 ] && [ $since -lt ${ticksOfAction} ]; do :; done
codes="$codes $code"
}
${actions.slice(0, -1).map(lineOf).join('\n')}
ticks=0
${actions.slice(-1).map(lineOf).join('\n')}
{ printf 'step attack 0 %d 0\\n' "\${#codes}"; printf %s "$codes"; } >&3
(${endings[ending]}) </dev/null >/dev/null 2>&1
sleep 60; echo o >&5; sleep 60`;
}

const lineOf = (action: Action) => `act ${action.map(quote).join(' ')}`;
const quote = (text: string) => (/^[\w/.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

function verbOf(name: string) {
  const verb = verbs[name];
  if (verb === undefined) throw new Error(`the grammar has no verb ${name}`);
  return verb;
}

/** Returns a test of a session, to be added to `test/vm/matrix/same-boot.test.ts`. */
export function scenarioOf({ actions, ending }: Session): string {
  const lines = actions.map((action) => `    ${JSON.stringify(action)}`).join(',\n');
  const literal = `{\n  "actions": [\n${lines}\n  ],\n  "ending": "${ending}"\n}`;
  return `sameBoot('…', () => assertSameBoot([${literal}]));\n`;
}
