/**
 * node test/vm/warm.ts: builds the package, the guest trees and the disks that several guest tests share. Each test
 * would build them itself; the runner calls this while lint and unit tests run.
 */
import { agentRpm, agentTree } from './harness/agent.ts';
import { varAndLogOnLvm, xfsOnLvm } from './harness/layout.ts';
import { templateOf } from './harness/template.ts';
import { ordinaryTree } from './harness/tree.ts';

const [tree] = await Promise.all([ordinaryTree(), agentRpm()]);
const withAgent = await agentTree();
await Promise.all([templateOf(xfsOnLvm, withAgent), templateOf(xfsOnLvm, tree)]);
await templateOf(varAndLogOnLvm, withAgent);
