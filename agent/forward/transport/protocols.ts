import type { Clock } from '../../system/clock.ts';
import type { Encoder } from '../encode/encoder.ts';
import { ExportEncoder } from '../encode/export-encoder.ts';
import { SyslogEncoder } from '../encode/syslog-encoder.ts';
import type { FieldSelection } from '../reader.ts';
import { connectRelp, relpMessageBytes, relpWindow } from './relp/relp.ts';
import { connectSyslog, syslogMessageBytes, syslogWindow } from './syslog/syslog.ts';
import type { Target } from './target.ts';
import type { Connect } from './transport.ts';
import { connectUpload, uploadWindow } from './upload/upload.ts';

/** The parts of the pipeline that depend on a target's protocol. */
export interface Protocol {
  connect: Connect;
  /** The fields that the encoder needs. */
  fields: FieldSelection;
  createEncoder: (clock: Clock, hostname: string) => Encoder;
  /** The maximum number of messages that are unacknowledged, or acknowledged but not yet saved in the checkpoint. */
  window: number;
  /** Whether the protocol does not acknowledge single messages, so that very many messages are unacknowledged. */
  sparse: boolean;
  /** Reading pauses while more than this number of bytes is queued. Low, but enough for a request with many entries. */
  queueBytes: number;
}

export function protocolOf({ protocol, carrier }: Target): Protocol {
  switch (protocol) {
    case 'relp':
      return {
        connect: connectRelp,
        ...syslogMessages(relpMessageBytes),
        window: relpWindow,
        sparse: false,
        queueBytes: 0,
      };
    case 'syslog':
      return {
        connect: connectSyslog,
        ...syslogMessages(syslogMessageBytes(carrier)),
        window: syslogWindow,
        sparse: true,
        queueBytes: 0,
      };
    case 'journal':
      return {
        connect: connectUpload,
        fields: 'all',
        createEncoder: (clock, hostname) => new ExportEncoder(clock, hostname),
        window: uploadWindow,
        sparse: false,
        queueBytes: 256 * 1024,
      };
  }
}

function syslogMessages(limit: number): Pick<Protocol, 'fields' | 'createEncoder'> {
  return {
    fields: 'syslog',
    createEncoder: (clock, hostname) => new SyslogEncoder(limit, clock, hostname),
  };
}
