import { type ParserOptions, parse } from '@babel/parser';

export interface Mutant {
  start: number;
  end: number;
  replacement: string;
}

interface Node {
  type: string;
  start: number;
  end: number;
  [key: string]: unknown;
}

const options: ParserOptions = { sourceType: 'module', plugins: ['typescript'] };

/** Each operator, and what a mutant has instead. */
const operators: Readonly<Record<string, string>> = {
  ...{ '===': '!==', '!==': '===', '&&': '||', '||': '&&', '??': '&&' },
  ...{ '<': '<=', '<=': '<', '>': '>=', '>=': '>', '+': '-', '-': '+' },
};

const methods: Readonly<Record<string, string>> = { some: 'every', every: 'some' };

/** Returns the mutants of a module. None changes only a text or a regular expression, and none adds up texts. */
export function mutantsOf(source: string): Mutant[] {
  const found: Mutant[] = [];
  visit(parse(source, options).program as unknown as Node, (node) => found.push(...mutantsAt(node, source)));
  return found;
}

function mutantsAt(node: Node, source: string): Mutant[] {
  const text = (part: Node) => source.slice(part.start, part.end);
  const instead = (part: Node, ...texts: string[]) =>
    texts.map((replacement) => ({ start: part.start, end: part.end, replacement }));
  switch (node.type) {
    case 'IfStatement':
    case 'ConditionalExpression':
      return instead(node['test'] as Node, 'true', 'false');
    case 'BinaryExpression':
    case 'LogicalExpression': {
      const [left, right] = [node['left'] as Node, node['right'] as Node];
      const other = operators[node['operator'] as string];
      if (other === undefined) return [];
      if (node['operator'] === '+' && [left, right].some(({ type }) => /String|Template/.test(type)))
        return [];
      return instead(node, `((${text(left)}) ${other} (${text(right)}))`);
    }
    case 'UnaryExpression':
      return node['operator'] === '!' ? instead(node, text(node['argument'] as Node)) : [];
    case 'BooleanLiteral':
      return instead(node, `${!(node['value'] as boolean)}`);
    case 'ExpressionStatement':
      return instead(node, ';');
    case 'CallExpression': {
      const property = (node['callee'] as Node)['property'] as Node | undefined;
      const other = property && methods[text(property)];
      return other === undefined ? [] : instead(property as Node, other);
    }
    default:
      return [];
  }
}

/** Types have no mutants. */
function visit(node: Node, at: (node: Node) => void): void {
  if (node.type.startsWith('TS') && !('expression' in node)) return;
  at(node);
  for (const child of Object.values(node).flat())
    if (typeof (child as Node | null)?.type === 'string') visit(child as Node, at);
}
