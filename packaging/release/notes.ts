/**
 * Returns the release notes of a version: the section of CHANGELOG.md with the heading "## VERSION" or
 * "## VERSION (DATE)".
 * @throws Error if the section does not exist or is empty
 */
export function releaseNotes(changelog: string, version: string): string {
  const sections = changelog.split(/^## /m).slice(1);
  const isWanted = (section: string) => /^\S+/.exec(section)?.[0] === version;
  const section = sections.find(isWanted);
  if (section === undefined) {
    throw new Error(`CHANGELOG.md has no section '## ${version}': rename '## Unreleased' to '## ${version}'`);
  }
  const text = section.slice(section.indexOf('\n')).trim();
  if (text === '') throw new Error(`the section '## ${version}' of CHANGELOG.md is empty`);
  return `# immutafs-agent ${version}\n\n${text}\n`;
}
