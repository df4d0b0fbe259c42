// The receiving thread of a measurement: BENCH_PLAIN=1 without TLS, BENCH_NOSYNC=1 without flushing. The product knows neither.
import { connect } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import type { ReceiverSetup } from '../../../src/drivers/transfer/messages.ts';
import { receiveOrders } from '../../../src/drivers/transfer/receiver.ts';
import { type Dial, tlsDial } from '../../../src/drivers/transfer/tls.ts';

const plainDial: Dial = ({ host, port }, onread) => ({ socket: connect({ host, port, onread }), ready: 'connect' });

if (parentPort !== null) {
  const setup = workerData as ReceiverSetup;
  receiveOrders({
    port: parentPort,
    setup,
    self: 'receiver',
    dial: process.env.BENCH_PLAIN === '1' ? plainDial : tlsDial(setup.cluster, setup.tls),
    flush: process.env.BENCH_NOSYNC === '1' ? () => Promise.resolve() : (handle) => handle.datasync(),
  });
}
