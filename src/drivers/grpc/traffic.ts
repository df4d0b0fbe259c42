// What this node sends to other nodes: counted where messages become bytes, before HTTP/2 and TLS.
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';

/** Totals since the start. */
export type Traffic = { readonly messages: number; readonly bytes: number };

/** Counts what passes through the serializers it wraps. */
export type TrafficCounter = {
  counted<T>(serialize: (message: T) => Buffer): (message: T) => Buffer;
  /** The same service with its replies counted. */
  countedReplies(service: ServiceDefinition): ServiceDefinition;
  total(): Traffic;
};

/** A counter at zero. */
export function createTraffic(): TrafficCounter {
  let messages = 0;
  let bytes = 0;
  const counted = <T>(serialize: (message: T) => Buffer) => {
    return (message: T) => {
      const encoded = serialize(message);
      messages += 1;
      bytes += encoded.length;
      return encoded;
    };
  };
  const countedMethod = (method: MethodDefinition<unknown, unknown>) => ({
    ...method,
    responseSerialize: counted(method.responseSerialize),
  });
  return {
    counted,
    countedReplies: (service) => Object.fromEntries(Object.entries(service).map(([name, method]) => [name, countedMethod(method)])),
    total: () => ({ messages, bytes }),
  };
}
