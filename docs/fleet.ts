import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startChromium } from '../test/browser/chromium.ts';
import { fleetOf } from '../test/browser/fleet.ts';
import { writeFleet } from '../test/browser/page.ts';

/**
 * Takes the picture of the fleet report with a fleet of 500 guests: `npm run fleet-picture`, with Debian's chromium.
 */
const [picture] = process.argv.slice(2);
if (picture === undefined) throw new Error('usage: node docs/fleet.ts TO.png');
const folder = mkdtempSync(path.join(tmpdir(), 'immutafs-fleet-'));
const browser = await startChromium();
try {
  writeFleet(folder, fleetOf(500));
  const page = await browser.newPage({ viewport: { width: 1400, height: 920 } });
  await page.goto(`file://${folder}/fleet.html`);
  await page.screenshot({ path: picture });
} finally {
  await browser.close();
  rmSync(folder, { recursive: true });
}
