import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { execaSync } from 'execa';
import { inRoot } from '../../packaging/build/paths.ts';
import { at, type Collected } from './fleet.ts';

/** Python that reads { at, guests } and writes the fleet report in each format to the folder in its first argument. */
const program = `import datetime, importlib, json, sys, time
fleet = "ansible_collections.immutafs.agent.plugins.plugin_utils.fleet."
model, page, table = (importlib.import_module(fleet + name) for name in ("document", "page", "table"))
given = json.load(sys.stdin)
begin = time.time()
entries = [model.guest_entry(e["name"], e["query"], e["status"], **e["more"]) for e in given["guests"]]
report = model.document(entries, datetime.datetime.fromisoformat(given["at"]))
for kind, text in (("html", page.render(report)), ("csv", table.render(report)), ("json", json.dumps(report))):
    with open(sys.argv[1] + "/fleet." + kind, "w", encoding="utf-8", newline="") as file:
        file.write(text)
print(time.time() - begin)`;

/**
 * Writes fleet.html, fleet.csv and fleet.json into a folder with the collection's own functions.
 * @returns the duration in seconds, without the start of Python
 */
export function writeFleet(folder: string, guests: Collected[]): number {
  const collections = path.join(folder, 'python/ansible_collections/immutafs');
  mkdirSync(collections, { recursive: true });
  symlinkSync(inRoot('ansible'), path.join(collections, 'agent'));
  writeFileSync(path.join(folder, 'collected.json'), JSON.stringify({ at: at.toISOString(), guests }));
  const { stdout } = execaSync('/usr/bin/python3', ['-B', '-c', program, folder], {
    inputFile: path.join(folder, 'collected.json'),
    env: { PYTHONPATH: path.join(folder, 'python') },
    extendEnv: false,
  });
  return Number(stdout);
}
