#!/bin/sh
# Print the Chromium that the browser tests use; with --install, fetch one first where there is none.
# Order: PARALLAX_CHROMIUM, one on the PATH, Playwright's own, the system's package. One without windows comes first:
# pages take it a good part less of the processor.
set -u
bin=$1
find_one() {
    for candidate in "${PARALLAX_CHROMIUM:-}" chromium-headless-shell chromium chromium-browser google-chrome; do
        [ -n "$candidate" ] && command -v "$candidate" && return 0
    done
    own=$("$bin/python" -c 'from playwright.sync_api import sync_playwright as s
with s() as p: print(p.chromium.executable_path)' 2>/dev/null)
    [ -x "$own" ] && echo "$own" && return 0
    return 1
}
if found=$(find_one); then
    [ "${2:-}" = --install ] || echo "$found"
    exit 0
fi
[ "${2:-}" = --install ] || exit 1
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    # Nobody is there to answer a package's questions.
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    for package in chromium-headless-shell chromium; do
        apt-get install -y -qq --no-install-recommends "$package" >/dev/null && exit 0
    done
fi
"$bin/python" -m playwright install chromium && exit 0
echo "The browser tests need Chromium: install it, or name one in PARALLAX_CHROMIUM." >&2
exit 1
