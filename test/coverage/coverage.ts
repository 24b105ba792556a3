import fs from 'node:fs';
import path from 'node:path';
import { format } from 'oxfmt';
import { checks } from '../../agent/checks/index.ts';
import { readPasses, isScenario } from '../harness/runner/scenarios.ts';
import { findFiles } from '../harness/runner/selection.ts';
import { type LayoutRow, longRows, matrixRows, smokeRow } from '../vm/harness/layout-rows.ts';
import { xfsOnLvm } from '../vm/harness/layout.ts';

export const coverageFile = 'docs/coverage.md';

/** The folders of the tests that the tables have columns for. */
const folders = ['test/unit', 'test/vm/smoke', 'test/vm/matrix', 'test/vm/long'];

const head = `# Test coverage

\`npm run coverage-table\` writes this page from \`test/coverage/tested.md\` and the tests; the linters fail while it is stale.
`;

/** What the tables cannot show: the systems and situations in which something was tested, and those in which nothing was. */
const tested = 'test/coverage/tested.md';

const passesHead = `## When each scenario last passed

The continuous integration runs \`test/vm/smoke/\` on every commit, and of these scenarios what
\`test/harness/runner/scenarios.ts\` chooses. A run with \`--record\` writes the dates.
`;

const layoutHead = `## Layouts of guests

The guests have Debian 13, except where the layout names an earlier release: bookworm is Debian 12, bullseye is Debian 11.
`;

/** @returns the page: what was tested, which tests name each check, which guest tests boot each layout, and when they passed */
export async function coverageTable(): Promise<string> {
  const tests = folders.flatMap(testFiles);
  const page = [
    head,
    fs.readFileSync(tested, 'utf8'),
    '## Checks\n',
    checkTable(tests),
    layoutHead,
    layoutTable(tests),
    passesHead,
    passesTable(),
  ];
  return (await format(coverageFile, page.join('\n'))).code;
}

/** @returns what is wrong; empty if the page is up to date */
export async function staleCoverage(): Promise<string> {
  const page = fs.existsSync(coverageFile) ? fs.readFileSync(coverageFile, 'utf8') : '';
  return page === (await coverageTable()) ? '' : `${coverageFile} is stale: npm run coverage-table`;
}

interface TestFile {
  /** Such as `test/vm/smoke/sealed.test.ts`. */
  file: string;
  /** Such as `sealed`. */
  name: string;
  text: string;
}

function testFiles(folder: string): TestFile[] {
  return fs
    .readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .sort()
    .map((name) => {
      const file = path.join(folder, name);
      return { file, name: name.replace(/\.test\.ts$/, ''), text: fs.readFileSync(file, 'utf8') };
    });
}

function checkTable(tests: readonly TestFile[]): string {
  const rows = checks.map(({ id }) => {
    const own = tests.some(({ file }) => isOwnTest(file, id));
    const naming = tests.filter(
      ({ file, text }) => isOwnTest(file, id) || (namesCheck(text, id) && !(own && isUnit(file))),
    );
    return [`\`${id}\``, ...cells(naming)];
  });
  return table(['check', 'unit', 'smoke', 'matrix', 'long'], rows);
}

/** Named after the check; other unit tests count only where no file is. */
function isOwnTest(file: string, id: string): boolean {
  return file.startsWith(`test/unit/checks/${id}`);
}

const isUnit = (file: string): boolean => file.startsWith('test/unit/');

/** By its id as a string or as a key. */
function namesCheck(text: string, id: string): boolean {
  return text.includes(`'${id}'`) || (!id.includes('-') && new RegExp(`\\b${id}: `).test(text));
}

function layoutTable(tests: readonly TestFile[]): string {
  const guests = tests.filter(({ file, text }) => file.startsWith('test/vm/') && bootsGuests(text));
  const used = guests.map((test) => ({ test, layouts: layoutsIn(test) }));
  const names = [...new Set([...commonLayouts(), ...used.flatMap(({ layouts }) => layouts)])];
  const rows = names.map((name) => {
    const naming = used.filter(({ layouts }) => layouts.includes(name)).map(({ test }) => test);
    return [name, ...cells(naming).slice(1)];
  });
  return table(['layout', 'smoke', 'matrix', 'long'], rows);
}

function bootsGuests(text: string): boolean {
  return /harness\/(scenario|forwarding-guest|template)\.ts'/.test(text);
}

/** The names that `harness/layout.ts` exports. */
function commonLayouts(): string[] {
  const text = fs.readFileSync('test/vm/harness/layout.ts', 'utf8');
  return [...text.matchAll(/^export const (\w+)(?:: Layout)? =/gm)].map(([, name = '']) => `\`${name}\``);
}

/** A guest without a layout of its own has the default, `xfsOnLvm`. */
function layoutsIn({ name, text }: TestFile): string[] {
  if (text.includes('of matrixRows)')) return matrixRows.map(rowName);
  if (text.includes('of longRows)')) return longRows.map(rowName);
  const rows = text.includes('layoutOf(smokeRow)') ? [rowName(smokeRow)] : [];
  const named = [...text.matchAll(/(?:\blayout: (?:\{ \.\.\.)?|templateOf\()(\w+)\b(?!\()/g)].map(
    ([, id = '']) => id,
  );
  const isDefault =
    (named.length === 0 && rows.length === 0) ||
    /\bwith(?:out|Installed)?Agent\(\{(?![^}]*\blayout\b)[^}]*\}/.test(text);
  const layouts = named.map((id) => describe(text, id, name));
  return [...new Set([...(isDefault ? ['`xfsOnLvm`'] : []), ...layouts, ...rows])];
}

const defaultRelease = xfsOnLvm.release;

function rowName(row: LayoutRow): string {
  return row.filter((value) => value !== defaultRelease).join(', ');
}

/** Follows `const lvm = xfsOnLvm`; a layout that the file makes itself is named with the file. */
function describe(text: string, id: string, name: string): string {
  const assignment = new RegExp(`^const ${id} = (\\w+)([^;]*)`, 'm');
  const [, definition, options = ''] = assignment.exec(text) ?? [];
  const release = /\brelease: '(\w+)'/.exec(options)?.[1] ?? defaultRelease;
  if (release !== defaultRelease) {
    const isCommon = options === `({ release: '${release}' })`;
    return `${isCommon ? '`xfsOnLvm`' : `\`${id}\` of ${name}`}, ${release}`;
  }
  if (definition === undefined) {
    return commonLayouts().includes(`\`${id}\``) ? `\`${id}\`` : `\`${id}\` of ${name}`;
  }
  return definition === 'layout' ? `\`${id}\` of ${name}` : describe(text, definition, name);
}

function passesTable(): string {
  const passes = readPasses('.');
  const rows = findFiles('.')
    .filter(isScenario)
    .map((file) => {
      const name = file.replace(/^test\/(vm\/)?|\.test\.ts$/g, '');
      const { date, commit } = passes[file] ?? { date: 'not recorded', commit: '–' };
      return [`\`${name}\``, date, commit];
    });
  return table(['scenario', 'date', 'commit'], rows);
}

/** The names of the tests by folder. */
function cells(tests: readonly TestFile[]): string[] {
  return folders.map((folder) => {
    const names = tests.filter(({ file }) => file.startsWith(`${folder}/`)).map(({ name }) => name);
    return names.length === 0 ? '–' : names.join(', ');
  });
}

function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (texts: readonly string[]) => `| ${texts.join(' | ')} |\n`;
  return [line(columns), line(columns.map(() => '---')), ...rows.map(line), '\n'].join('');
}
