// Which connections to Ollama are the agent's own: they are no users, and what moves on them proves nothing.
import { Agent, buildConnector } from 'undici';

/** Local ports of the agent's open connections. */
export type OwnPorts = Set<number>;

/** An HTTP agent whose connections are noted in `own` while they live. Times in ms. */
export function ownAgent(options: {
  readonly connections: number;
  readonly keepAliveMs: number;
  readonly connectMs: number;
  readonly own: OwnPorts | undefined;
}): Agent {
  const { connections, keepAliveMs, connectMs, own } = options;
  const connect = buildConnector({ timeout: connectMs });
  return new Agent({
    connections,
    pipelining: 1,
    keepAliveTimeout: keepAliveMs,
    connect: (to, done) =>
      connect(to, (...result) => {
        const socket = result[1];
        const port = socket?.localPort;
        if (port !== undefined && own !== undefined && socket !== null) {
          own.add(port);
          socket.once('close', () => own.delete(port));
        }
        done(...result);
      }),
  });
}
