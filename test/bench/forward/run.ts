import fs from 'node:fs';
import { forgetState } from '../../wire/support/agent.ts';
import { endAll, peakMemory } from '../../wire/support/program.ts';
import { sleep } from '../../wire/support/until.ts';
import { type Receiver, receivers } from './receivers.ts';
import { type Sender, stateDirectory } from './senders.ts';

/** The result of one sender. If the sender was killed, the CPU time covers only the time after the restart. */
export interface Run extends Usage {
  count: number;
  /** Seconds from the first start until the last entry is stored. */
  wall: number;
  /** The CPU time of the receiver in seconds. If it is close to `wall`, the receiver is the bottleneck. */
  receiverSeconds: number;
  lost: number;
  repeated: number;
}

/** Measures a sender. @param killed whether to kill (SIGKILL) and restart it when half of the entries are stored */
export async function forward(sender: Sender, count: number, killed = false): Promise<Run> {
  const receiver = receivers[sender.receiver];
  forgetState();
  fs.rmSync(stateDirectory, { recursive: true, force: true });
  fs.mkdirSync(stateDirectory);
  receiver.clear();
  const server = await receiver.start();
  const start = performance.now();
  let program = sender.start();
  if (killed) {
    await stored(receiver, count / 2, 0);
    await program.kill();
    program = sender.start();
  }
  const end = await stored(receiver, count - 1, calmMilliseconds);
  const run = {
    count,
    ...usage(program.pid),
    wall: (end - start) / 1000,
    receiverSeconds: usage(server.pid).seconds,
  };
  await endAll();
  return { ...run, ...missing(receiver, count) };
}

/** The time without further entries after the last entry, because entries may arrive out of order. */
const calmMilliseconds = 1500;
const patienceMilliseconds = 15_000;

/**
 * Waits until an entry is stored and no more entries arrive, or until no entry arrives for `patienceMilliseconds`.
 * @returns when the last entry arrived
 */
async function stored(receiver: Receiver, number: number, calm: number): Promise<number> {
  let [size, since] = [0, performance.now()];
  for (;;) {
    const before = size;
    size = receiver.size();
    const now = performance.now();
    if (size !== before) since = now;
    if (now - since > patienceMilliseconds) return since;
    if (now - since >= calm && receiver.last() >= number) return since;
    await sleep(5);
  }
}

function missing(receiver: Receiver, count: number): { lost: number; repeated: number } {
  const times = new Uint16Array(count);
  for (const number of receiver.numbers()) times[number] = (times[number] ?? 0) + 1;
  let [lost, repeated] = [0, 0];
  for (const each of times) {
    if (each === 0) lost += 1;
    else repeated += each - 1;
  }
  return { lost, repeated };
}

interface Usage {
  /** The CPU time in seconds, including running and ended child processes. */
  seconds: number;
  /** The CPU time of the child processes, in seconds. */
  childSeconds: number;
  /** The peak RSS, without the child processes. */
  mebibytes: number;
}

/** Returns the resources that a process has used (proc_pid_stat(5)). */
export function usage(pid: number): Usage {
  const [own, ended] = times(pid);
  const children = childrenOf(pid).map((child) => times(child).reduce((sum, each) => sum + each));
  const childSeconds = children.reduce((sum, each) => sum + each, ended);
  return { seconds: own + childSeconds, childSeconds, mebibytes: peakMemory(pid) };
}

/** Returns the CPU times of a process and of its ended child processes, in seconds. A clock tick is 10 ms. */
function times(pid: number): [number, number] {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
  const [user = 0, system = 0, childUser = 0, childSystem = 0] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
    .map(Number);
  return [(user + system) / 100, (childUser + childSystem) / 100];
}

function childrenOf(pid: number): number[] {
  const words = fs
    .readdirSync(`/proc/${pid}/task`)
    .flatMap((task) => fs.readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' '));
  return words.filter((word) => word !== '').map(Number);
}
