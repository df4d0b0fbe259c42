// Addresses with prefix lengths, as the vip section names them.
import { isIP, SocketAddress } from 'node:net';

/** An IPv4 or IPv6 address with a prefix length that can hold more than the default route. */
export function isCidr(text: string): boolean {
  const [address = '', length = '', ...more] = text.split('/');
  const family = isIP(address);
  if (family === 0 || address.includes('%') || more.length > 0 || !/^\d{1,3}$/.test(length)) return false;
  return Number(length) >= 8 && Number(length) <= (family === 6 ? 128 : 32);
}

/** The one spelling of an address, whatever its prefix length; host names and what is no address come back as they are. */
export function canonicalOf(text: string): string {
  const address = text.split('/')[0] ?? text;
  const family = isIP(address);
  return family === 0 ? address : new SocketAddress({ address, family: family === 6 ? 'ipv6' : 'ipv4' }).address;
}
