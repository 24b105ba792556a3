import fs from 'node:fs';
import { peakMemory } from '../../wire/support/program.ts';

/** The resources of a running process. */
export interface Usage {
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
