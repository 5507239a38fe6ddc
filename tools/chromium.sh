#!/bin/sh
# Sees to a Chromium for the tests in a real browser: installs Debian's where there is none and apt may.
# It never fails. Without a browser the suite runs everything else, and names what it left out.
set -u

find_it() {
  # The names that tests/chromium.py looks for.
  for name in chromium chromium-browser google-chrome-stable google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then
      return 0
    fi
  done
  return 1
}

go_without() {
  echo "No Chromium: $1. Tests in a real browser will be left out." >&2
  exit 0
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  else
    sudo -n "$@"
  fi
}

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive timeout 600 apt-get -q -o Acquire::Retries=2 -o Acquire::http::Timeout=20 \
    -o DPkg::Lock::Timeout=60 "$@" >&2
}

find_it && exit 0
command -v apt-get >/dev/null 2>&1 || go_without "there is no apt-get to install it with"
as_root true >/dev/null 2>&1 || go_without "installing it takes root, or sudo without a password"
# A source that cannot be reached need not be the one that has it.
apt update || echo "apt-get update failed; trying with the lists that are here." >&2
apt install -y --no-install-recommends chromium || go_without "apt-get could not install it"
find_it || go_without "its package brought no program"
