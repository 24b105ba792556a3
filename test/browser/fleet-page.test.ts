import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { accessibilityProblems, startChromium } from './chromium.ts';
import { fleetOf } from './fleet.ts';
import { formula, hostileFleet, markup } from './hostile.ts';
import { writeFleet } from './page.ts';

/** Tests the page of the fleet report in Chromium, with 500 guests, and with guests that report hostile values. */
const test = suite<{ folder: string; browser: Browser }>('the page of the fleet report');

const fleets = { few: fleetOf(13), many: fleetOf(500), hostile: hostileFleet() };

test.before(async (context) => {
  context.folder = mkdtempSync(path.join(tmpdir(), 'immutafs-browser-'));
  for (const [name, guests] of Object.entries(fleets)) {
    const seconds = writeFleet(path.join(context.folder, name), guests);
    assert.ok(seconds < 15, `${name}: written in ${seconds} s`);
  }
  context.browser = await startChromium();
});

test.after(async ({ folder, browser }) => {
  await browser.close();
  rmSync(folder, { recursive: true });
});

type Work = (page: Page, requests: string[]) => Promise<void>;

/** Opens the page of a fleet in a new context. `requests` receives the address of every file that the page loads. */
async function withPage(
  { folder, browser }: { folder: string; browser: Browser },
  name: keyof typeof fleets,
  options: BrowserContextOptions,
  work: Work,
): Promise<void> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  try {
    const page = await context.newPage();
    const requests: string[] = [];
    page.on('requestfinished', (request) => void requests.push(request.url()));
    const errors: string[] = [];
    page.on('pageerror', (error) => void errors.push(error.message));
    await page.goto(`file://${folder}/${name}/fleet.html`);
    await work(page, requests);
    assert.equal(errors, []);
    assert.is(requests.length, 1, requests.join('\n'));
  } finally {
    await context.close();
  }
}

const scrollsSideways = (page: Page) =>
  page.evaluate<boolean>('document.documentElement.scrollWidth > document.documentElement.clientWidth');
const shownRows = (page: Page) => page.locator('#table tbody tr:visible');
/** The same as the number of `shownRows`, which takes seconds with 500 guests. */
const shownCount = (page: Page) =>
  page.evaluate<number>(
    "[...document.querySelectorAll('#table tbody tr')].filter((row) => row.checkVisibility()).length",
  );
/** The sort keys of the column "/var used", in the order of the table. */
const shares = (page: Page) =>
  page.evaluate<number[]>(
    '[...document.querySelectorAll(\'#table [data-label="/var used"]\')].map((cell) => Number(cell.dataset.key))',
  );
const focused = 'document.activeElement';
const sortAndFilter = `(() => {
  const begin = performance.now();
  document.querySelector('#table thead th:nth-child(6) button').click();
  document.body.getBoundingClientRect();
  document.querySelector('.tiles [data-state=sealed]').click();
  document.body.getBoundingClientRect();
  return performance.now() - begin;
})()`;

for (const [title, options] of [
  ['light', {}],
  ['dark', { colorScheme: 'dark' }],
  ['400 pixels', { viewport: { width: 400, height: 800 } }],
  ['400 pixels, dark', { viewport: { width: 400, height: 800 }, colorScheme: 'dark' }],
] as const)
  test(`accessibility: ${title}`, (context) =>
    withPage(context, 'few', options, async (page) => {
      await page.click('#expand');
      assert.is(await page.locator('details[open]').count(), 13);
      assert.equal(await accessibilityProblems(page), []);
    }));

test('accessibility: axe finds a text without contrast', (context) =>
  withPage(context, 'few', {}, async (page) => {
    await page.fill('#search', 'no guest has this name');
    await page.evaluate(`const sheet = new CSSStyleSheet();
      sheet.replaceSync('#none { color: #ccc }');
      document.adoptedStyleSheets = [sheet]`);
    assert.match((await accessibilityProblems(page)).join(), /^color-contrast: /);
  }));

// Loading the page takes most of the time, so one page serves all tests of 500 guests.
test('500 guests: a narrow window needs no sideways scrolling, the keyboard filters and sorts, within 3 s', (context) =>
  withPage(context, 'many', {}, async (page) => {
    assert.is(await shownCount(page), 500);
    await filtersByKeyboard(page);
    await sortsByKeyboard(page);
    const milliseconds = await page.evaluate<number>(sortAndFilter);
    process.stdout.write(`sorted and filtered 500 guests in ${Math.round(milliseconds)} ms\n`);
    assert.ok(milliseconds < 3000, `${milliseconds} ms for both`);
    await fitsNarrowWindow(page);
  }));

async function filtersByKeyboard(page: Page): Promise<void> {
  const status = page.locator('[role=status]');
  await page.keyboard.press('Tab');
  assert.is(await page.evaluate(`${focused}.textContent`), 'Skip to the table of guests');

  await page.locator('.tiles [data-state=maintenance]').focus();
  await page.keyboard.press('Space');
  const open = await page.locator('.tiles [data-state=maintenance] b').textContent();
  assert.is(await status.textContent(), `${open ?? ''} of 500 guests`);
  assert.is(await shownCount(page), Number(open));
  await page.keyboard.press('Space');
  assert.is(await shownCount(page), 500);

  await page.locator('#search').focus();
  await page.keyboard.type('WEB kvm03');
  const names = await shownRows(page).locator('a').allTextContents();
  assert.ok(names.length > 3 && names.every((name) => name.startsWith('web-')), names.join());
  assert.is(
    await page.locator('details:visible').count(),
    names.length,
    'the sections are filtered likewise',
  );
  await page.keyboard.type(' nothing');
  assert.is(await page.locator('#none').isVisible(), true);
  await page.locator('.filters button').focus();
  await page.keyboard.press('Enter');
  assert.is(await status.textContent(), '500 of 500 guests');
}

async function sortsByKeyboard(page: Page): Promise<void> {
  const header = page.locator('#table thead th', { hasText: '/var used' });
  await header.locator('button').focus();
  await page.keyboard.press('Enter');
  assert.is(await header.getAttribute('aria-sort'), 'ascending');
  const ascending = await shares(page);
  const sorted = ascending.toSorted((a, b) => a - b);
  assert.equal(ascending, sorted);
  assert.ok(new Set(ascending).size > 10);
  await page.keyboard.press('Enter');
  assert.is(await header.getAttribute('aria-sort'), 'descending');
  assert.equal(await shares(page), sorted.toReversed());
  assert.is(await page.locator('[aria-sort]').count(), 1);
}

async function fitsNarrowWindow(page: Page): Promise<void> {
  await page.setViewportSize({ width: 400, height: 800 });
  await page.click('.filters button');
  assert.is(await scrollsSideways(page), false);
  await page.fill('#search', 'home-options');
  await page.click('#expand');
  assert.is(await scrollsSideways(page), false);
  await page.evaluate("document.body.style.setProperty('width', '450px')");
  assert.is(await scrollsSideways(page), true, 'the measurement notices a page that is too wide');
}

test('a link in the table opens the section of the guest, even if a filter hides it', (context) =>
  withPage(context, 'few', {}, async (page) => {
    const link = page.locator('#table tbody a').first();
    const name = await link.textContent();
    await link.focus();
    await page.keyboard.press('Enter');
    await page.locator('details[open]').waitFor();
    assert.is(await page.evaluate(`${focused}.querySelector('h3').textContent`), name);
    assert.is(await page.locator('details[open]').count(), 1);
    await page.fill('#search', 'no guest has this name');
    await page.evaluate("location.hash = '#guest-3'");
    await page.locator('#guest-3[open]').waitFor();
    assert.is(await shownCount(page), 13);
  }));

test('printing: every shown section is printed, and no control', (context) =>
  withPage(context, 'few', { colorScheme: 'dark' }, async (page) => {
    await page.fill('#search', 'kvm03');
    const shown = await shownCount(page);
    await page.emulateMedia({ media: 'print' });
    await page.evaluate("dispatchEvent(new Event('beforeprint'))");
    assert.is(await page.locator('details[open]').count(), shown);
    for (const selector of ['.filters', '.controls', 'caption'])
      assert.is(await page.locator(selector).first().isVisible(), false, selector);
    const colours = await page.evaluate('getComputedStyle(document.body).backgroundColor');
    assert.is(colours, 'rgb(255, 255, 255)', 'dark pages waste ink');
    await page.evaluate("dispatchEvent(new Event('afterprint'))");
    assert.is(await page.locator('details[open]').count(), 0);
  }));

test('without JavaScript, the page is complete', (context) =>
  withPage(context, 'few', { javaScriptEnabled: false }, async (page) => {
    assert.is(await page.locator('#table tbody tr').count(), 13);
    await page.locator('summary').first().click();
    assert.is(await page.locator('details dl').first().isVisible(), true);
  }));

test('hostile guests: their values are text, and the page runs none of them', (context) =>
  withPage(context, 'hostile', { viewport: { width: 400, height: 800 } }, async (page) => {
    await page.click('#expand');
    assert.is(await page.evaluate('typeof hit'), 'undefined');
    assert.is(await page.locator('img, iframe, object, embed, link, script:not(body > script)').count(), 0);
    assert.is(await page.locator('script').count(), 1);
    const text = await page.locator('details').filter({ hasText: 'hit=1' }).first().textContent();
    assert.ok(text?.includes(markup.slice(0, 60)), 'the values are shown as they are');
    assert.is(await scrollsSideways(page), false);
    assert.is(await shownCount(page), fleets.hostile.length);
    // If a value became markup in spite of the escaping, the policy of the page would stop it.
    await page.evaluate(`document.body.innerHTML = ${JSON.stringify(markup)}`);
    await page.waitForTimeout(200);
    assert.is(await page.evaluate('typeof hit'), 'undefined', 'the content security policy blocks programs');
  }));

if (!existsSync('/usr/bin/chromium')) throw new Error('chromium is missing: run npm run setup');
test('hostile guests: each is in the report; an answer that is no report has no values', ({ folder }) => {
  const { guests } = JSON.parse(readFileSync(path.join(folder, 'hostile/fleet.json'), 'utf8')) as {
    guests: {
      name: string;
      problem: string | null;
      claim: { var: Record<string, unknown>; image: unknown } | null;
    }[];
  };
  const entry = (name: string) => guests.find((each) => each.name === name);
  assert.is(guests.length, fleets.hostile.length);
  const { usedBytes, inodes, percent, secondsUntilFull, fullOf } = entry('huge')?.claim?.var ?? {};
  assert.equal([usedBytes, inodes, percent, secondsUntilFull, fullOf], [null, null, null, null, null]);
  const image = { name: markup.slice(0, 128), version: formula, built: '2026-11-28T01:02:03Z' };
  assert.equal(entry('image')?.claim?.image, image);
  assert.is(entry('image-type')?.claim?.image, null);
  for (const [name, problem] of [
    ['forward', 'forward is not of type object'],
    ['sources', 'forward.sources[0] is not of type object'],
    ['host', 'host is not of type object'],
    ['empty', 'at is missing'],
  ] as const) {
    const { claim, problem: found } = entry(name) ?? {};
    assert.equal([claim, found], [null, `the guest answered with something else than a report: ${problem}`]);
  }
});

test('hostile guests: no cell of the CSV file is a formula', ({ folder }) => {
  const lines = readFileSync(path.join(folder, 'hostile/fleet.csv'), 'utf8').split('\r\n');
  const [line = ''] = lines.filter((each) => each.startsWith('formula,'));
  assert.ok(line.includes(`"'${formula.replaceAll('"', '""')}"`), line);
  // A cell begins after a comma, with or without a quotation mark, or at the beginning of a line.
  assert.not.match(lines.join('\n'), /(^|,)"?\s*[=+@|%]/m);
});

test.run();
