import type { Message } from '../../report/messages.ts';

/** What the forwarder logs: each change of its state, once. */
export const forwardMessages = {
  connected: {
    messageId: '7772539a603b4b1f985fff7b85bb1b22',
    documentation: {
      title: 'the journal goes to a log server',
      means:
        'The forwarder has connected to the server, the server is the one that is meant, and entries go out from where they were acknowledged last.',
      why: 'What was logged while no server answered is sent now: it may take a moment until the newest entries are there.',
      fix: 'Nothing. Where it is not the preferred server of FORWARD, that one is tried again every minute at the latest, and less often where it answers and then takes nothing.',
    },
  },
  waiting: {
    messageId: '043a44dadc574436b902d5e2f1a0a071',
    documentation: {
      title: 'the journal does not go to the log server',
      means:
        'No connection could be made, or one has ended; the reason is in the message. The forwarder tries again, after a second and then less and less often, twice a minute at least.',
      why: 'The entries stay in the journal and are sent later, but the journal is memory: it ends with this boot, and its oldest entries when it is full.',
      fix: 'If it lasts, `immutafs-agent forward --test` says which step fails: the name, the connection, the certificates or the protocol. docs/log-server.md has what the server needs. A refused or expired certificate is tried again too: renewed files count without a restart.',
    },
  },
  trouble: {
    messageId: '397d99b7a76a4838bbe09274d46ea346',
    documentation: {
      title: 'forwarding goes on, but not as it should',
      means:
        'Entries were gone before they could be forwarded, journalctl had to be started again, or the position could not be read or saved; the message says which.',
      why: 'What is missing on the server is counted and told to it, so that a gap there does not look like silence. Without a saved position, entries are sent a second time after a restart.',
      fix: 'Gone entries: give the journal more room (SystemMaxUse= and RuntimeMaxUse= in journald.conf(5)), or the server more speed. journalctl: `journalctl --verify`. A position that cannot be saved: see that /run is not full, and that /run/immutafs/forward belongs to immutafs-forward.',
    },
  },
  ended: {
    messageId: '8a23d582ee17439081aeb421a0f81b05',
    documentation: {
      title: 'the journal goes nowhere',
      means: 'The forwarder has ended because FORWARD names no server.',
      why: 'In a sealed boot /var is memory: what is logged ends with the boot.',
      fix: 'Name a server in FORWARD in /etc/immutafs/immutafs.conf and start immutafs-forward.service again, or disable it.',
    },
  },
  misconfigured: {
    messageId: 'b331bf9acda5478b84935f886b29f870',
    documentation: {
      title: 'the forwarder does not start because of the configuration',
      means:
        'FORWARD or a TLS key (FORWARD_CA, FORWARD_CERT, FORWARD_KEY, FORWARD_PEER) has a bad value, or the configuration or a line of it cannot be read. The message names file, line and reason. The forwarder ends with exit code 2 and is not started again.',
      why: 'The default of a TLS key trusts more servers than the value that was meant. No entry is sent to a server that the configuration does not clearly trust. The entries stay in the journal.',
      fix: 'Fix the lines in /etc/immutafs/immutafs.conf (on a sealed guest, the host has to open it first), then `systemctl restart immutafs-forward.service`. The user immutafs-forward must be able to read the file.',
    },
  },
} satisfies Record<string, Message>;
