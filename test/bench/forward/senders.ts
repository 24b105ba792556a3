import fs from 'node:fs';
import { configure } from '../../wire/support/agent.ts';
import { type Program, start } from '../../wire/support/program.ts';
import type { Receiver } from './receivers.ts';

/** A program that forwards the journal. After it was killed, it is restarted in the same way. */
export interface Sender {
  receiver: Receiver['name'];
  start: () => Program;
}

/** The state of all senders except the agent. */
export const stateDirectory = '/run/sender';

export function agentSender(
  agent: string,
  receiver: Receiver['name'],
  target: string,
  files: string | undefined,
): Sender {
  return {
    receiver,
    start: () => {
      configure({ FORWARD: target, ...(files === undefined ? {} : { FORWARD_FILES: files }) });
      return start(agent, ['forward']);
    },
  };
}

/**
 * Returns the senders of the journal by name. The competitors are configured so that no rate limit or full queue loses
 * entries.
 * @param syslogNg the directory of the package's files
 */
export function journalSenders(agent: string, syslogNg: string): Record<string, Sender> {
  const ours = (receiver: Receiver['name'], target: string) =>
    agentSender(agent, receiver, target, undefined);
  const source = 'module(load="imjournal" stateFile="imjournal.state" rateLimit.interval="0")\n';
  return {
    'agent, RELP': ours('RELP', 'relp://127.0.0.1:2514'),
    'rsyslog, RELP': rsyslog('RELP', source + relp('')),
    'rsyslog, RELP, window 1000': rsyslog('RELP', source + relp('windowSize="1000"')),
    'agent, TCP': ours('TCP', 'syslog+tcp://127.0.0.1:601'),
    'rsyslog, TCP': rsyslog('TCP', source + tcp),
    'syslog-ng, TCP': { receiver: 'TCP', start: () => startSyslogNg(syslogNg) },
    'agent, upload': ours('upload', 'journal+http://127.0.0.1:19532'),
    'journal-upload': { receiver: 'upload', start: startUpload },
  };
}

export function lineSenders(agent: string, log: string): Record<string, Sender> {
  const source = `module(load="imfile")\ninput(type="imfile" file="${log}" tag="audit")\n`;
  return {
    'agent, RELP': agentSender(agent, 'RELP', 'relp://127.0.0.1:2514', log),
    'imfile, RELP': rsyslog('RELP', source + relp('')),
    'imfile, RELP, window 1000': rsyslog('RELP', source + relp('windowSize="1000"')),
    'agent, TCP': agentSender(agent, 'TCP', 'syslog+tcp://127.0.0.1:601', log),
  };
}

const relp = (more: string) => `module(load="omrelp")
action(type="omrelp" target="127.0.0.1" port="2514" template="RSYSLOG_SyslogProtocol23Format" ${more})
`;
const tcp = `action(type="omfwd" protocol="tcp" target="127.0.0.1" port="601" tcp_Framing="octet-counted"
  template="RSYSLOG_SyslogProtocol23Format" action.resumeRetryCount="-1")
`;

function rsyslog(receiver: Receiver['name'], rules: string): Sender {
  return {
    receiver,
    start: () => {
      const file = `${stateDirectory}/rsyslog.conf`;
      fs.writeFileSync(file, `global(workDirectory="${stateDirectory}")\n${rules}`);
      fs.rmSync(`${stateDirectory}/rsyslog.pid`, { force: true });
      return start('rsyslogd', ['-n', '-i', `${stateDirectory}/rsyslog.pid`, '-f', file]);
    },
  };
}

/** Starts syslog-ng. The prefix keeps the fields out of the structured data, because other senders do not send them. */
function startSyslogNg(directory: string): Program {
  const file = `${stateDirectory}/syslog-ng.conf`;
  fs.writeFileSync(
    file,
    `@version: 4.8
source journal { systemd-journal(prefix(".journald.")); };
destination server { syslog("127.0.0.1" transport("tcp") port(601)); };
log { source(journal); destination(server); flags(flow-control); };
`,
  );
  const files = ['persist-file', 'pidfile', 'control'].map(
    (name) => `--${name}=${stateDirectory}/syslog-ng.${name}`,
  );
  const libraries = [`${directory}/usr/lib/syslog-ng`, `${directory}/usr/lib/x86_64-linux-gnu`].join(':');
  return start('env', [
    `LD_LIBRARY_PATH=${libraries}`,
    `${directory}/usr/sbin/syslog-ng`,
    '--foreground',
    `--cfgfile=${file}`,
    `--module-path=${directory}/usr/lib/syslog-ng/4.8`,
    ...files,
  ]);
}

function startUpload(): Program {
  const options = ['--url=http://127.0.0.1:19532', `--save-state=${stateDirectory}/upload.state`];
  return start('/usr/lib/systemd/systemd-journal-upload', options);
}
