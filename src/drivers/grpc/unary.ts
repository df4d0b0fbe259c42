// One unary call as a promise: always with a deadline, ended by its signal.
import { type Client, type ClientUnaryCall, Metadata, type ServiceError } from '@grpc/grpc-js';

/** The part of a generated method definition that a call needs. */
export type Method<Req, Res> = {
  readonly path: string;
  readonly requestSerialize: (request: Req) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Res;
};

/** Calls; rejects with an Error that carries gRPC's `code` and says in its text what went wrong. */
export function unary<Req, Res>(
  client: Client,
  method: Method<Req, Res>,
  request: Req,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<Res> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(new Error('given up'));
      return;
    }
    let call: ClientUnaryCall | null = null;
    const giveUp = () => call?.cancel();
    const done = (error: ServiceError | null, reply?: Res) => {
      signal.removeEventListener('abort', giveUp);
      if (error === null && reply !== undefined) resolve(reply);
      else reject(Object.assign(new Error(error?.details ?? 'no reply'), { code: error?.code, cause: error }));
    };
    // grpc-js takes a wall-clock date and turns it into a relative timer at once.
    const options = { deadline: Date.now() + deadlineMs };
    call = client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      new Metadata(),
      options,
      done,
    );
    signal.addEventListener('abort', giveUp, { once: true });
  });
}
