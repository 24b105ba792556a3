import * as assert from 'uvu/assert';
import { blocksOf, commandsIn, exitCodeIn } from './blocks.ts';
import { type Page, executed, isNotExecuted } from './executed.ts';

/** The commands of a page as steps of a boot. */
export interface PageSteps {
  /** Shell text by the name of the step. */
  steps: Record<string, string>;
  /** Asserts that each command ended with the exit code of its comment, 0 if it has none. */
  assertExits: (step: (name: string) => { exit: number; stderr: string }) => void;
}

/**
 * Returns the commands below a heading of a page as steps.
 *
 * @param file the test file, which the table in `executed.ts` names
 */
export function pageSteps(file: string, page: Page, heading: string): PageSteps {
  assert.is(executed[page]?.[heading], file, `the table of pages for ${page}, ${heading}`);
  const commands = blocksOf(page)
    .filter((block) => block.heading === heading && block.language === 'sh')
    .flatMap(({ text, line }) => commandsIn(text).map((each) => ({ ...each, line: line + each.line })))
    .filter(({ text }) => !isNotExecuted(text));
  assert.ok(commands.length > 0, `${page} has commands below ${heading}`);
  return {
    steps: Object.fromEntries(commands.map(({ text, line }) => [`line-${line}`, text])),
    assertExits: (step) => {
      for (const { text, comment, line } of commands) {
        const { exit, stderr } = step(`line-${line}`);
        assert.is(exit, exitCodeIn(comment), `${page}:${line}: ${text}: ${stderr}`);
      }
    },
  };
}
