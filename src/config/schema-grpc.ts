// The `grpc` section: what the gRPC services offer beside the project's own.
import { z } from 'zod';

/** Off by default: it costs memory, and an operator who wants it knows. */
export const grpcSchema = z.strictObject({
  reflection: z
    .boolean()
    .default(false)
    .describe('true: clients such as grpcurl may ask which services and messages there are, on the peer port and on the control socket.'),
});
