// The parts list of the address: which driver stands behind which part of vip-ports.ts. Composition only; nothing is decided here.

import type { Sink, VipPort } from './agent/ports.ts';
import { createVip, type VipView } from './agent/vip.ts';
import type { VipParts } from './agent/vip-ports.ts';
import { addressOf, openLink } from './drivers/address/link.ts';
import { watchAddresses } from './drivers/address/watch.ts';
import { watchArp } from './drivers/arp/watch.ts';
import { openKeepalived } from './drivers/keepalived/keepalived.ts';
import { openFence } from './drivers/nft/fence.ts';
import { openSocketKiller } from './drivers/sockets/ready.ts';

/** The `vip` section of the configuration as far as it matters here. */
export type VipOptions = {
  readonly driver: 'keepalived' | 'address';
  /** With prefix lengths. */
  readonly addresses: readonly string[];
  readonly interface: string;
  readonly fence: 'required' | 'preferred' | 'off';
  /** The lease is long enough for the lifetime of the address to end it. */
  readonly lifetimes: boolean;
};

/** Starts everything that moves the address. */
export function openVip(args: {
  readonly vip: VipOptions;
  readonly runDir: string;
  /** Path of the dead-man script. */
  readonly script: string;
  readonly sink: Sink;
  /** CLOCK_MONOTONIC, ms. */
  readonly now: () => number;
  readonly log: VipParts['log'];
  readonly limits?: VipParts['limits'];
}): VipPort & { view(): VipView } {
  const { vip, sink, now, log } = args;
  const common = { sink, now, log, ...(args.limits === undefined ? {} : { limits: args.limits }) };

  const addresses = vip.addresses.map(addressOf);
  const fence = vip.fence === 'off' ? null : openFence({ interface: vip.interface, vips: addresses, now });
  const keepalived = vip.driver === 'keepalived' ? openKeepalived({ runDir: args.runDir, script: args.script, now, log }) : null;
  const watch = watchAddresses(addresses);
  // ARP is IPv4's; all addresses are on one node, so one of them tells for all.
  const asked = addresses.find((address) => !address.includes(':'));
  const arp = asked === undefined ? null : watchArp({ address: asked, interface: vip.interface, sink });
  const link = openLink({ vips: vip.addresses, interface: vip.interface, now });
  const sockets = openSocketKiller(addresses);
  const port = createVip({
    ...common,
    fence,
    fenceRequired: vip.fence === 'required',
    files: keepalived?.files ?? null,
    keepalived,
    link,
    linkIsActuator: vip.driver === 'address',
    lifetimes: vip.lifetimes,
    killSockets: () => sockets.kill(),
    watch,
    wire: arp === null ? null : (active) => arp.active(active),
  });
  return {
    ...port,
    async close() {
      await port.close();
      arp?.close();
      watch.close();
      keepalived?.close();
      sockets.close();
      link.end();
      await fence?.end();
    },
  };
}
