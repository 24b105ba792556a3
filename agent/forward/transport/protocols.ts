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
  /** How many messages may be unacknowledged, or acknowledged and not yet saved in the checkpoint. */
  window: number;
  /** If more messages wait, at least so many are sent at once: otherwise each acknowledgement would release one message. */
  step: number;
  /** The protocol does not acknowledge single messages, and very many are unacknowledged. */
  sparse: boolean;
  /** How many bytes may wait to be sent: few, but enough for a request with many entries. */
  queueBytes: number;
}

export function protocolOf({ protocol, carrier }: Target): Protocol {
  switch (protocol) {
    case 'relp':
      return {
        connect: connectRelp,
        ...syslogMessages(relpMessageBytes),
        window: relpWindow,
        step: relpWindow / 4,
        sparse: false,
        queueBytes: 0,
      };
    case 'syslog':
      return {
        connect: connectSyslog,
        ...syslogMessages(syslogMessageBytes(carrier)),
        window: syslogWindow,
        step: 1,
        sparse: true,
        queueBytes: 0,
      };
    case 'journal':
      return {
        connect: connectUpload,
        fields: 'all',
        createEncoder: (clock, hostname) => new ExportEncoder(clock, hostname),
        window: uploadWindow,
        step: 1,
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
