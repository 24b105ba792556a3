import { type Test, suite } from 'uvu';
import { forgetState } from './agent.ts';
import { makeCertificates } from './certificates.ts';
import { closeFakes } from './fake-server.ts';
import { clearJournal } from './journal.ts';
import { enterNamespaces } from './namespaces.ts';
import { endAll } from './program.ts';
import { clearRemote } from './remote.ts';
import { clearStored } from './rsyslog.ts';

/**
 * Runs the rest of a test file in namespaces of its own (namespaces.ts), and returns a suite. Each of its tests begins
 * without a journal, without stored messages and without a state of the agent, and ends the programs that it started.
 * @param file import.meta.filename of the test file
 */
export async function wireSuite(
  file: string,
  title: string,
  options?: Parameters<typeof enterNamespaces>[1],
): Promise<Test> {
  await enterNamespaces(file, options);
  const tests = suite(`wire: ${title}`);
  tests.before(makeCertificates);
  tests.before.each(() => {
    clearJournal();
    clearStored();
    clearRemote();
    forgetState();
  });
  tests.after.each(async () => {
    closeFakes();
    await endAll();
  });
  return tests;
}
