#!/bin/sh
# Installs what the tests and the demo need. Run by `make setup` before everything else; quick and quiet when nothing is missing.
#   install.sh            npm packages; as root also Debian packages and the prober's arping
#   install.sh --check    like without, but fails when something is missing that only root can install
# Exit: 0 ready (without root: as far as possible), 1 something failed or, with --check, is missing.
set -eu
cd "$(dirname "$0")/../.."
policy=/usr/sbin/policy-rc.d
mark='by ollama-ha setup, removed at its end'
root=0
[ "$(id -u)" -eq 0 ] && root=1

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# npm packages: when there are none, or the lock file is newer than the last install.
npm_packages() {
  stamp=node_modules/.package-lock.json
  if [ ! -f "$stamp" ] || [ package-lock.json -nt "$stamp" ]; then
    command -v npm >/dev/null || fail 'npm is missing: install Node.js 18 or newer with npm'
    log=$(mktemp)
    if ! npm ci --no-audit --no-fund --loglevel=error >"$log" 2>&1; then
      cat "$log" >&2
      rm -f "$log"
      fail 'npm ci failed'
    fi
    rm -f "$log"
    touch "$stamp"
  fi
  version=$(node_modules/.bin/node --version 2>/dev/null || echo none)
  case $version in
    v26.*) ;;
    *) fail "node_modules/.bin/node is $version, not v26: the package \"node\" fetches it in an install script; run npm ci without --ignore-scripts" ;;
  esac
}

# Names of the Debian packages whose program or library is not there.
missing_packages() {
  PATH=$PATH:/usr/sbin:/sbin
  for pair in redis-server:redis-server keepalived:keepalived nft:nftables ip:iproute2 nginx:nginx haproxy:haproxy arping:iputils-arping rsync:rsync promtool:prometheus mmdebstrap:mmdebstrap systemd-analyze:systemd man:man-db strip:binutils chromium:chromium zsh:zsh fish:fish; do
    command -v "${pair%%:*}" >/dev/null || printf '%s ' "${pair#*:}"
  done
  ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || printf 'libfaketime '
}

restore_policy() {
  rm -f "$policy"
  if [ -e "$policy.before-ollama-ha" ]; then mv "$policy.before-ollama-ha" "$policy"; fi
}

# No Redis, nginx or keepalived may start on this machine only because its package was installed.
install_packages() {
  # Ours may be left of a run that was killed hard; anybody else's comes back afterwards.
  if [ -e "$policy" ] && ! grep -q "$mark" "$policy"; then mv "$policy" "$policy.before-ollama-ha"; fi
  trap restore_policy EXIT
  trap 'exit 130' INT TERM HUP
  printf '#!/bin/sh\n# %s\nexit 101\n' "$mark" >"$policy"
  chmod 755 "$policy"
  log=$(mktemp)
  apt_install "$@" >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; fail "apt-get could not install: $*"; }
  rm -f "$log"
  restore_policy
  trap - EXIT INT TERM HUP
}

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y --no-install-recommends "$@" || { apt-get update && apt-get install -y --no-install-recommends "$@"; }
}

# The ARP prober needs the other arping of Debian, whose package conflicts with iputils-arping: unpacked here, never installed.
unpack_arping() {
  [ -x .cache/arping/usr/sbin/arping ] && return
  work=$(mktemp -d)
  chmod 755 "$work"
  if ! (cd "$work" && { apt-get download arping libnet1 libpcap0.8 || { apt-get update && apt-get download arping libnet1 libpcap0.8; }; }) >"$work/log" 2>&1; then
    cat "$work/log" >&2
    rm -rf "$work"
    fail 'apt-get could not download arping'
  fi
  mkdir -p .cache
  rm -rf .cache/arping .cache/arping.new
  for package in "$work"/*.deb; do dpkg -x "$package" .cache/arping.new; done
  mv .cache/arping.new .cache/arping
  rm -rf "$work"
}

npm_packages
packages=$(missing_packages)
if [ "$root" -eq 1 ]; then
  if [ -n "$packages" ]; then
    command -v apt-get >/dev/null || fail "no apt-get here; install these yourself: $packages"
    say "installing $packages"
    # shellcheck disable=SC2086 # a list of words
    install_packages $packages
    packages=$(missing_packages)
    [ -z "$packages" ] || fail "still missing: $packages"
  fi
  unpack_arping
elif [ -n "$packages" ]; then
  say "not root, so these stay missing: $packages(as root: make setup). Tests that need no root still run."
  [ "${1:-}" != --check ] || exit 1
fi
