import { syslogFields } from '../../lib/journal-export/fields.ts';
import type { Clock } from '../../system/clock.ts';
import { exportEncoder } from '../encode/export-encoder.ts';
import { SyslogEncoder } from '../encode/syslog-encoder.ts';
import type { Encoder, Transport } from '../stages.ts';
import type { ConnectOptions } from './connection.ts';
import { connectRelp, relpMessageBytes, relpWindow } from './relp.ts';
import { connectSyslog, syslogMessageBytes, syslogWindow } from './syslog.ts';
import type { Target } from '../../config/forward-target.ts';
import { connectUpload, uploadWindow } from './upload.ts';

/** The parts of the pipeline that depend on a target's protocol. */
export interface Protocol {
  /** Connects to a server. @throws Error that describes the failed step */
  connect: (target: Target, options: ConnectOptions) => Promise<Transport>;
  /** The fields that the encoder needs; undefined for all fields, unchanged. */
  fields: readonly string[] | undefined;
  createEncoder: (clock: Clock, hostname: string) => Encoder;
  /** The maximum number of messages that are unacknowledged, or acknowledged but not yet saved in the checkpoint. */
  window: number;
  /**
   * Whether the protocol does not acknowledge single messages, so that very many are unacknowledged, and only the last
   * cursor of each batch is kept.
   */
  sparse: boolean;
  /** Reading pauses while more than this number of bytes is queued. Low, but enough for a request with many entries. */
  queueBytes: number;
}

export function protocolOf({ protocol, carrier }: Target): Protocol {
  switch (protocol) {
    case 'relp':
      return { connect: connectRelp, ...syslogMessages(relpMessageBytes), window: relpWindow, sparse: false };
    case 'syslog': {
      const messages = syslogMessages(syslogMessageBytes(carrier));
      return { connect: connectSyslog, ...messages, window: syslogWindow, sparse: true };
    }
    case 'journal':
      return {
        ...{ connect: connectUpload, fields: undefined, window: uploadWindow, sparse: false },
        createEncoder: exportEncoder,
        queueBytes: 256 * 1024,
      };
  }
}

function syslogMessages(limit: number): Pick<Protocol, 'fields' | 'createEncoder' | 'queueBytes'> {
  const createEncoder = (clock: Clock, hostname: string) => new SyslogEncoder(limit, clock, hostname);
  return { fields: syslogFields, createEncoder, queueBytes: 0 };
}
