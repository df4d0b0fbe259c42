// The receiving thread. Started by transfer.ts.
import { X509Certificate } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { nodeOfCertificate } from './identity.ts';
import type { ReceiverSetup } from './messages.ts';
import { receiveOrders } from './receiver.ts';
import { tlsDial } from './tls.ts';

function serve(setup: ReceiverSetup): void {
  const { cluster, tls } = setup;
  const self = nodeOfCertificate(new X509Certificate(tls.cert).subjectAltName, cluster) ?? '';
  if (parentPort === null) return;
  let dial = tlsDial(cluster, tls);
  receiveOrders({
    port: parentPort,
    setup,
    self,
    dial: (peer, onread) => dial(peer, onread),
    renew: (next) => {
      dial = tlsDial(cluster, next);
    },
    flush: (handle) => handle.datasync(),
  });
}

serve(workerData as ReceiverSetup);
