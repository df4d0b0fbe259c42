// grpc-js settings, each because its default is wrong for heartbeats.
import type { ChannelOptions } from '@grpc/grpc-js';

/** Largest message that anybody may send unasked, bytes. */
const MESSAGE_MAX_BYTES = 262_144;
/** Largest answer: a manifest of 4 MiB, or a whole inventory. */
const ANSWER_MAX_BYTES = 4_456_448;

/** Client channels. Reconnection is our own (connect.ts): a channel that fails is thrown away. */
export const CLIENT_OPTIONS: ChannelOptions = {
  // Global subchannels would hand a new client the old one's backoff.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
  // Without pings a stream never notices a cut.
  'grpc.keepalive_time_ms': 1_000,
  'grpc.keepalive_timeout_ms': 600,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.enable_retries': 0,
  'grpc.enable_channelz': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.dns_min_time_between_resolutions_ms': 1_000,
  'grpc.max_receive_message_length': ANSWER_MAX_BYTES,
  'grpc.client_idle_timeout_ms': 2_147_483_647,
};

/** Channels that carry no stream, only unary calls: their deadlines tell of a cut, so the pings may be rare. With 64 nodes they would outnumber heartbeats. */
export const CALLS_ONLY: ChannelOptions = { 'grpc.keepalive_time_ms': 5_000 };

/** The listener of peers and operators. */
export const SERVER_OPTIONS: ChannelOptions = {
  'grpc.keepalive_time_ms': 1_000,
  'grpc.keepalive_timeout_ms': 600,
  'grpc.enable_channelz': 0,
  'grpc.max_receive_message_length': MESSAGE_MAX_BYTES,
  'grpc.max_concurrent_streams': 64,
  'grpc-node.max_session_memory': 10,
};

/** The local control socket: no pings, the kernel tells when the other end is gone. */
export const SOCKET_OPTIONS: ChannelOptions = {
  'grpc.enable_channelz': 0,
  'grpc.max_receive_message_length': MESSAGE_MAX_BYTES,
  'grpc.max_concurrent_streams': 64,
  'grpc-node.max_session_memory': 10,
};
