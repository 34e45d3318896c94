# SPDX-License-Identifier: Apache-2.0
# Sourced by the lint tests: moves to the repository root and defines the source files.
# shellcheck shell=bash
cd -- "$(dirname -- "$(realpath -- "$0")")/../.." || exit 1

# sources <glob>...: files of ours with these names, sorted.
sources() {
    local names=() folders=() name
    for name in "$@"; do names+=(-o -name "$name"); done
    for name in include runtime graph kernels-* plugins examples proofs tests; do
        [ -d "$name" ] && folders+=("$name")
    done
    find "${folders[@]}" -type f \( -false "${names[@]}" \) | sort
}
