#!/usr/bin/env bash
# The Debian packages the tests use: foreign SIP clients, a foreign SIP server, a foreign codec, the two database servers, two browsers, fail2ban, an ACME server.
set -euo pipefail
packages=(sip-tester baresip linphone-cli kamailio libspandsp2 sox postgresql mariadb-server chromium firefox-esr iproute2 fail2ban pebble)
missing=()
for package in "${packages[@]}"; do
  dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "not installed: ${missing[*]}; tests that need them are skipped by name (apt-get install ${missing[*]})" >&2
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
# Installing a database must not start a server: the tests start their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
apt-get install -qq --yes --no-install-recommends "${missing[@]}" > /dev/null
