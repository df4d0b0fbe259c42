import { describe, expect, it } from 'vitest';
import { establishedPeers, readConnections, tokensOf, trafficOf } from '../../../src/drivers/ollama/traffic.ts';

const facts = (sent: number, received: number, lastsnd: number, lastrcv: number): string =>
  `\t cubic rto:204 ${sent > 0 ? `bytes_sent:${sent} bytes_acked:${sent} ` : ''}${received > 0 ? `bytes_received:${received} ` : ''}segs_out:3 lastsnd:${lastsnd} lastrcv:${lastrcv} lastack:1`;
const line = (local: string, peer: string): string => `0      0      ${local} ${peer}`;

describe('what TCP tells of requests', () => {
  it('reads addresses of both families and the counters, an absent one as 0', () => {
    const text = [
      line('10.0.0.1:11434', '10.0.0.9:5000'),
      facts(0, 120, 900, 40),
      line('[::ffff:10.0.0.1]:11434', '[::ffff:10.0.0.9]:5001'),
      facts(7, 8, 1, 2),
      '',
    ].join('\n');
    expect(readConnections(text)).toEqual([
      { localPort: 11434, peer: '10.0.0.9', peerPort: 5000, sent: 0, received: 120, pieces: 0, sendAgeMs: 900, receiveAgeMs: 40 },
      { localPort: 11434, peer: '[::ffff:10.0.0.9]', peerPort: 5001, sent: 7, received: 8, pieces: 0, sendAgeMs: 1, receiveAgeMs: 2 },
    ]);
  });

  it('tells waiting requests from answers, prompts from streams, and leaves own connections out', () => {
    const at = (localPort: number, peerPort: number, sent: number, received: number, sendAgeMs: number, receiveAgeMs: number) => ({
      localPort,
      peer: 'x',
      peerPort,
      sent,
      received,
      sendAgeMs,
      receiveAgeMs,
    });
    const seen = [
      at(11434, 1, 0, 100, 9000, 9000), // its request has no byte yet
      at(11434, 2, 500, 100, 3000, 8000), // an answer that began
      at(11434, 3, 500, 100, 8000, 50), // the next request on a connection that was answered before
      at(11434, 4, 900, 100, 1, 5), // our own
      at(4000, 5, 0, 70, 9000, 9000), // a runner that reads a prompt
    ];
    const first = trafficOf(seen, 11434, (peer) => peer === 4, new Map());
    expect(first.traffic).toEqual({
      users: 3,
      movedBytes: 1000,
      waiting: 2,
      waitingMs: 9000,
      prompting: 1,
      speaking: 1,
      quietMs: 3000,
      saidMs: 3000,
    });
    expect(trafficOf(seen, 11434, (peer) => peer === 4, first.sent).traffic.movedBytes).toBe(0);
  });

  it('counts the pieces that runners sent since the look before, also on a connection that is new or was made anew', () => {
    const runner = (peerPort: number, pieces: number) => ({
      localPort: 4000,
      peer: 'x',
      peerPort,
      sent: 1,
      received: 1,
      pieces,
      sendAgeMs: 1,
      receiveAgeMs: 1,
    });
    const user = { ...runner(1, 900), localPort: 11434 };
    const first = tokensOf([runner(5, 40), user], 11434, null);
    expect(first.tokens).toBe(0);
    const second = tokensOf([runner(5, 52), runner(6, 3), user], 11434, first.pieces);
    expect(second.tokens).toBe(15);
    expect(tokensOf([runner(5, 52), runner(6, 2)], 11434, second.pieces).tokens).toBe(2);
  });

  it('finds the peers of a port in /proc/net/tcp, established ones only', () => {
    const table = [
      '  sl  local_address rem_address   st tx_queue',
      '   0: 0100007F:2CAA 00000000:0000 0A 00000000:00000000',
      '   1: 0100007F:2CAA 0100007F:B04E 01 00000000:00000000',
      '   2: 0100007F:2CAB 0100007F:B04F 01 00000000:00000000',
      '   3: 0100007F:2CAA 0100007F:B050 06 00000000:00000000',
    ].join('\n');
    expect(establishedPeers(table, 11434)).toEqual([0xb04e]);
  });
});
