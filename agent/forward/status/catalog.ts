import type { LogMessage } from '../../report/log.ts';

/** The messages that the forwarder logs at changes of its state, with their catalog texts. */
export const forwardMessages = {
  connected: {
    messageId: '7772539a603b4b1f985fff7b85bb1b22',
    title: 'the journal is forwarded to a log server',
    means:
      'The forwarder has connected to the server, has verified it if the protocol uses TLS, and sends the entries after the last acknowledged one.',
    why: 'Entries that were logged while no server answered are sent first: the newest entries may reach the server with a delay.',
    fix: 'Nothing. If it is not the preferred server of FORWARD, the forwarder tries the preferred one again at least every minute, or less often if that server accepts connections but no entries.',
  },
  waiting: {
    messageId: '043a44dadc574436b902d5e2f1a0a071',
    title: 'the journal is not forwarded to the log server',
    means:
      'The connection failed or ended; the message contains the reason. The forwarder tries again after one second, then at growing intervals of at most 30 seconds.',
    why: 'The entries stay in the journal and are sent later. But the journal is in memory: it is lost at the end of this boot, and its oldest entries are deleted when it is full.',
    fix: 'If the problem persists, run `immutafs-agent forward --test`: it shows which step fails (name, connection, certificates or protocol). /usr/share/doc/immutafs-agent/log-server.md describes the server. If a certificate was refused or has expired, replace the files: the forwarder reads them at every connection and needs no restart.',
  },
  trouble: {
    messageId: '397d99b7a76a4838bbe09274d46ea346',
    title: 'forwarding continues with a problem',
    means:
      'Entries were deleted before they could be forwarded, journalctl had to be started again, or the checkpoint could not be read or saved; the message says which.',
    why: 'Missing entries are counted and reported to the server, so that a gap there is visible. Without a saved checkpoint, entries are sent a second time after a restart.',
    fix: 'Deleted entries: raise the size of the journal (SystemMaxUse= and RuntimeMaxUse= in journald.conf(5)), or use a faster server. journalctl: run `journalctl --verify`. Checkpoint not saved: check that /run is not full and that /run/immutafs/forward belongs to immutafs-forward.',
  },
  discarded: {
    messageId: 'faeff310933147e59f3f5575ec5de1fb',
    title: 'the end of this boot discards log entries',
    means:
      'The guest shuts down while no log server is connected. The message contains the number of journal entries and of bytes of log files that no server has acknowledged, and the use of the upper layer of /var. If a server is connected, the forwarder sends the same text to the server as its last message.',
    why: 'In a sealed boot /var is in memory: what it contains is lost when the boot ends.',
    fix: 'Keep the log server available, or name a second server in FORWARD.',
  },
  ended: {
    messageId: '8a23d582ee17439081aeb421a0f81b05',
    title: 'the journal is not forwarded',
    means: 'The forwarder has ended because FORWARD names no server.',
    why: 'In a sealed boot /var is in memory: log entries are lost at the end of the boot.',
    fix: 'Set FORWARD in /etc/immutafs/immutafs.conf while the disk is writable, and start immutafs-forward.service again, or disable the service.',
  },
  misconfigured: {
    messageId: 'b331bf9acda5478b84935f886b29f870',
    title: 'the forwarder does not start because of the configuration',
    means:
      'FORWARD or a TLS key (FORWARD_CA, FORWARD_CERT, FORWARD_KEY, FORWARD_PEER) has a bad value, or the configuration or a line of it cannot be read. The message contains file, line and reason. The forwarder ends with exit code 2, and systemd does not start it again.',
    why: 'The default in place of an invalid TLS setting could trust more servers than intended. Therefore, the forwarder sends nothing until the configuration clearly says which servers to trust. The entries stay in the journal.',
    fix: 'Fix the lines in /etc/immutafs/immutafs.conf (on a sealed guest, the host must switch it to maintenance first), then `systemctl restart immutafs-forward.service`. The user immutafs-forward must be able to read the file.',
  },
} satisfies Record<string, LogMessage>;
