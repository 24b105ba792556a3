import fs from 'node:fs';

/** A fenced block of a Markdown page. */
export interface Block {
  /** The nearest heading above, without the `#` characters. */
  heading: string;
  /** The word after the fence; '' if there is none. */
  language: string;
  text: string;
  /** The number of the line of the fence, beginning with 1. */
  line: number;
}

/** @returns the fenced blocks of a page, also those that are indented as a part of a list */
export function blocksOf(page: string): Block[] {
  return parseBlocks(fs.readFileSync(page, 'utf8'));
}

export function parseBlocks(markdown: string): Block[] {
  const blocks: Block[] = [];
  let heading = '';
  let open: Block | undefined;
  for (const [index, line] of markdown.split('\n').entries()) {
    const [, fence] = /^ *```(.*)$/.exec(line) ?? [];
    if (open !== undefined) {
      if (fence === undefined) open.text += `${line}\n`;
      else open = void blocks.push(open);
    } else if (fence === undefined) {
      heading = /^#+ (.*)$/.exec(line)?.[1] ?? heading;
    } else {
      open = { heading, language: fence.trim(), text: '', line: index + 1 };
    }
  }
  return blocks;
}

/** A command of a shell block. */
export interface Command {
  text: string;
  /** The comment after the command; '' if there is none. */
  comment: string;
  /** The number of the line in the block, beginning with 1. */
  line: number;
}

/** @param text a shell block, with one command a line @returns its commands, without lines that are only a comment */
export function commandsIn(text: string): Command[] {
  return text.split('\n').flatMap((shown, index) => {
    const [, code = '', comment = ''] = /^(.*?)(?:(?:^| {2,})# *(.*))?$/.exec(shown) ?? [];
    return code.trim() === '' ? [] : [{ text: code.trim(), comment, line: index + 1 }];
  });
}

/** Returns the exit code that the comment after a command names; 0 if it names none. */
export const exitCodeIn = (comment: string): number => Number(/^exit code (\d)/.exec(comment)?.[1] ?? 0);
