# SPDX-License-Identifier: Apache-2.0
# Sourced by the end-to-end tests, whose arguments are: PROGRAM MAKE_TINY_MODEL [TOOL].... Defines $q35rt, a temporary folder
# $dir (the current one), the models to run and small helpers. Tests of the real model skip without Q35RT_TEST_MODEL.
# shellcheck shell=bash disable=SC2034
set -u
here=$(dirname -- "$(realpath -- "$0")")
q35rt=$1 make_tiny=$2 tool=${3:-}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
unset Q35RT_MODEL Q35RT_PLUGIN_PATH
export XDG_CACHE_HOME=$dir/cache LC_ALL=C
bad=0

fail() {
    echo "FAILED: $*"
    bad=1
}

skip() {
    echo "skipped: $*"
    exit 77
}

need_model() {
    [ -n "${Q35RT_TEST_MODEL:-}" ] || skip "Q35RT_TEST_MODEL does not name the small model (scripts/check fetches it)"
    model=$Q35RT_TEST_MODEL
}

# Text to score: third-party when there, else the calibration text, which ships with the program.
need_text() {
    [ -f "${Q35RT_TEST_DATA:-}/data/text/art_of_war.txt" ] || skip "Q35RT_TEST_DATA names no folder with data/text/art_of_war.txt"
    text=$Q35RT_TEST_DATA/data/text/art_of_war.txt
}

# at_most <name> <value> <bound>, at_least likewise; prints the figure either way.
at_most() {
    echo "$1: $2 (at most $3)"
    awk -v a="$2" -v b="$3" 'BEGIN { exit !(a + 0 == a && a <= b) }' || fail "$1: $2 found, at most $3 needed"
}
at_least() {
    echo "$1: $2 (at least $3)"
    awk -v a="$2" -v b="$3" 'BEGIN { exit !(a + 0 == a && a >= b) }' || fail "$1: $2 found, at least $3 needed"
}

# field FILE.json key... : one number of a JSON object.
field() {
    python3 -c 'import json, sys
o = json.load(open(sys.argv[1]))
for key in sys.argv[2:]:
    o = o[key]
print(o)' "$@"
}
