import * as assert from 'uvu/assert';
import { until } from '../../wire/support/until.ts';
import { type Block, type Command, blocksOf, commandsIn, exitCodeIn } from './blocks.ts';
import { type Page, executed, isNotExecuted } from './executed.ts';

/** Runs a command on a machine. `output` is stdout and stderr. */
export type Machine = (command: string) => Promise<{ exit: number; output: string }>;

/** The machines on which commands run, by the words with which the first comment of a block begins. */
export type Machines = Record<string, Machine>;

/** Runs shell blocks of pages as they stand. */
export class PageRun {
  readonly #file: string;
  readonly #machines: Machines;
  readonly #replace: Record<string, string>;
  readonly #patience: number;
  readonly #ran = new Set<string>();

  /**
   * @param file the test file, which the table in `executed.ts` names
   * @param machines where the blocks run @param replace names on the pages, with those of the test
   * @param patience how long a command with `repeat until:` is repeated, in seconds
   */
  constructor(file: string, machines: Machines, replace: Record<string, string> = {}, patience = 180) {
    this.#file = file;
    this.#machines = machines;
    this.#replace = replace;
    this.#patience = patience;
  }

  /**
   * Runs the blocks below a heading in order, and compares the output of each with a `text` block that follows.
   *
   * @param options `machine`: for blocks that do not name one; `blocks`: runs only the first ones
   * @throws with the line of the page if a command ends with another exit code than 0, or than its comment says, or prints
   * something else
   */
  async section(
    page: Page,
    heading: string,
    options: { machine?: string; blocks?: number } = {},
  ): Promise<void> {
    assert.is(executed[page]?.[heading], this.#file, `the table of pages for ${page}, ${heading}`);
    const blocks = blocksOf(page).filter((block) => block.heading === heading);
    const shell = blocks.filter(({ language }) => language === 'sh').slice(0, options.blocks);
    assert.ok(shell.length > 0, `${page} has commands below ${heading}`);
    for (const block of shell) {
      const output = await this.#block(page, block, options.machine);
      const next = blocks[blocks.indexOf(block) + 1];
      if (next?.language === 'text') {
        assert.ok(matchesOutput(output, next.text), `${page}:${next.line}: ${next.text}\n${output}`);
      }
    }
    this.#ran.add(`${page}: ${heading}`);
  }

  /** Asserts that every section was run which the table assigns to the test file. */
  assertComplete(): void {
    const assigned = Object.entries(executed).flatMap(([page, headings]) =>
      Object.entries(headings)
        .filter(([, file]) => file === this.#file)
        .map(([heading]) => `${page}: ${heading}`),
    );
    assert.equal([...this.#ran].toSorted(), assigned.toSorted(), 'the sections that were run');
  }

  async #block(page: Page, { text, line: fence }: Block, other?: string): Promise<string> {
    const [, comment = ''] = /^# (.*)/.exec(text) ?? [];
    const name = Object.keys(this.#machines).find((each) => comment.startsWith(each)) ?? other ?? '';
    const machine = this.#machines[name];
    if (machine === undefined) throw new Error(`${page}:${fence}: no machine for: ${text}`);
    let output = '';
    for (const command of commandsIn(text)) {
      const where = `${page}:${fence + command.line}`;
      if (!isNotExecuted(command.text)) output += await this.#command(machine, command, where);
    }
    return output;
  }

  async #command(machine: Machine, { text, comment }: Command, where: string): Promise<string> {
    const command = Object.entries(this.#replace).reduce((all, [from, to]) => all.replaceAll(from, to), text);
    const [, wanted] = /^(?:repeat until|wait for): (.*)$/.exec(comment) ?? [];
    const expected = exitCodeIn(comment);
    let said = await machine(command);
    const again = async () => {
      if (wanted === undefined || said.output.includes(wanted)) return true;
      said = await machine(command);
      return false;
    };
    await until(`${where}: ${command}: ${wanted}`, again, this.#patience);
    assert.is(said.exit, expected, `${where}: ${command}: ${said.output}`);
    return `${said.output}\n`;
  }
}

/** Whether the output has the lines that a page shows. `…` stands for any text. */
export function matchesOutput(output: string, shown: string): boolean {
  const parts = shown.trimEnd().split('…');
  return new RegExp(parts.map((part) => RegExp.escape(part)).join('[^]*')).test(output);
}
