// The address port of a node that carries none: every "off" is off already.
import type { VipWant } from '../core/io.ts';
import type { Sink, VipPort } from './ports.ts';

/** Answers each new "off" at once. */
export function createNoVip(sink: Sink): VipPort {
  let on = false;
  let told = -1;
  return {
    apply(want: VipWant) {
      if (want.on) {
        if (!on) sink({ k: 'granted', epoch: want.epoch, phasesMs: {} });
        on = true;
        told = -1;
        return;
      }
      on = false;
      if (told === want.epoch) return;
      told = want.epoch;
      sink({ k: 'ended', epoch: want.epoch, phasesMs: {} });
    },
    close: async () => {},
  };
}
