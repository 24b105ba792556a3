import { documentedChecks } from '../../agent/checks/documented.ts';
import { pageFile } from '../../agent/report/explain.ts';
import { sentence, wrap } from '../../agent/lib/format.ts';
import { forwardMessages } from '../../agent/forward/status/catalog.ts';
import { sessionMessages } from '../../agent/report/session-log.ts';
import { type LogMessage, driftMessage, programMessage, verdictMessage } from '../../agent/report/log.ts';

/**
 * Returns immutafs.catalog, the texts that `journalctl -x` shows below an entry (systemd's Journal Message Catalogs).
 */
export function catalog(): string {
  const findings = documentedChecks.map((check) => ({
    ...check,
    subject: `Check ${check.id}: @IMMUTAFS_STATUS@`,
  }));
  const others = [
    { ...verdictMessage, subject: 'Verdict for this guest: @IMMUTAFS_VERDICT@' },
    {
      ...driftMessage,
      subject: 'Check @IMMUTAFS_CHECK@ changed from @IMMUTAFS_OLD_STATUS@ to @IMMUTAFS_STATUS@',
    },
    { ...programMessage, subject: 'Program not from the sealed disk: @IMMUTAFS_PATH@' },
    { ...sessionMessages.started, subject: 'Session @IMMUTAFS_SESSION@ of @IMMUTAFS_USER@ began' },
    { ...sessionMessages.ended, subject: 'Session @IMMUTAFS_SESSION@ of @IMMUTAFS_USER@ ended' },
  ];
  const forwarding = Object.values(forwardMessages).map((message) => ({
    ...message,
    subject: `Forwarding: ${message.title}`,
  }));
  const heading = '# What the journal entries of immutafs-agent mean, and what to do.\n';
  return [heading, ...[...findings, ...others, ...forwarding].map(entry)].join('\n');
}

function entry({
  messageId,
  title,
  means,
  why,
  fix,
  page,
  subject,
}: LogMessage & { subject: string }): string {
  const more = page === undefined ? [] : [`Read on: ${pageFile(page)}`];
  const paragraphs = [sentence(title), means, why, `How to fix it: ${fix}`, ...more];
  return [
    `-- ${messageId}`,
    `Subject: ${subject}`,
    'Defined-By: immutafs-agent',
    'Documentation: man:immutafs-agent(8)',
    ...paragraphs.flatMap((paragraph) => ['', ...wrap(paragraph, 78)]),
    '',
  ].join('\n');
}
