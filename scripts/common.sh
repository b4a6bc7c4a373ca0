# shellcheck shell=bash
# Sourced by the other scripts: where things are, how they speak, how they install.
# Progress goes to stderr, so that a script's stdout is its answer.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cache=$root/.cache
# A relative CARGO_TARGET_DIR means the directory cargo is started in; every script starts it in the root.
target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$root/$target ;; esac

say() { printf '==> %s\n' "$*" >&2; }

# What went wrong, then one line for each thing to do about it.
die() {
    printf 'error: %s\n' "$1" >&2
    shift
    [ $# = 0 ] || printf '       %s\n' "$@" >&2
    exit 1
}

# Runs a command for so many seconds at most. At a terminal it stays in the foreground, so that Ctrl-C
# reaches it; elsewhere its whole process group ends with it. A bare macOS has no `timeout`: unbounded there.
if ! command -v timeout >/dev/null; then
    bounded() { shift && "$@"; }
elif [ -t 0 ]; then
    bounded() { timeout --foreground -k 10 "$@"; }
else
    bounded() { timeout -k 10 "$@"; }
fi

# Debian packages, installed only when missing. Fails where there is no apt or no right to use it.
apt_install() {
    command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || return 1
    local package missing=() as_root=()
    for package in "$@"; do
        dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q ' installed$' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || return 1
        if [ -t 0 ]; then as_root=(sudo); else as_root=(sudo -n); fi
    fi
    say "installing Debian packages: ${missing[*]} (about a minute)"
    # --no-remove: rustc-web conflicts with rustc, and a compiler that is in use must not vanish.
    {
        bounded 300 ${as_root[@]+"${as_root[@]}"} apt-get -o DPkg::Lock::Timeout=120 update -q &&
            bounded 600 ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get \
                -o DPkg::Lock::Timeout=120 install -y -q --no-install-recommends --no-remove "${missing[@]}"
    } </dev/null >&2
}

# Debian packages unpacked into a directory, nothing of them installed: a daemon's package would start it.
deb_unpack() {
    local into=$1 deb
    shift
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    mkdir -p "$into/debs"
    # Where the lists of packages are old or absent, they are fetched once.
    deb_download() { (cd "$into/debs" && bounded 300 apt-get -q download "$@" </dev/null >&2); }
    deb_download "$@" || { bounded 300 apt-get -o DPkg::Lock::Timeout=120 update -q </dev/null >&2 && deb_download "$@"; } || return 1
    for deb in "$into"/debs/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$into" --exclude './usr/share/*' || return 1
    done
    rm -r "$into/debs"
}

# Packages of a requirements file, every hash checked, into a directory that appears only when complete.
pip_install() {
    local name=$1 into=$2 python=${PYTHON:-python3} fresh
    command -v "$python" >/dev/null || die "python3 is needed to install $name" "install it: apt-get install python3 python3-pip"
    fresh=$into.$$
    mkdir -p "$(dirname "$into")"
    rm -rf "$fresh"
    if ! "$python" -m pip --version >/dev/null 2>&1; then
        # Debian ships python3 without pip; a virtual environment brings its own, if that module is there.
        if bounded 120 "$python" -m venv "$cache/venv" >/dev/null 2>&1; then
            python=$cache/venv/bin/python
        else
            rm -rf "$cache/venv"
            apt_install python3-pip || die "pip is needed to install $name" "install it: apt-get install python3-pip (or your system's package)"
        fi
    fi
    PIP_ROOT_USER_ACTION=ignore bounded 600 "$python" -m pip install --disable-pip-version-check --quiet --no-deps --only-binary=:all: \
        --require-hashes --requirement "$root/scripts/$name.txt" --target "$fresh" </dev/null >&2 || {
        rm -rf "$fresh"
        return 1
    }
    # Whoever was quicker has installed the same bytes.
    [ -d "$into" ] || mv "$fresh" "$into"
    rm -rf "$fresh"
}

# The toolchain of rust-toolchain.toml. A machine may have that very version under the name
# `stable`, and may be told not to download another copy of it.
use_rust() {
    local pinned stable
    pinned=$(sed -n 's/^channel = "\(.*\)"/\1/p' "$root/rust-toolchain.toml")
    command -v cargo >/dev/null || die "cargo is not on PATH" "install Rust $pinned: https://rustup.rs"
    command -v cc >/dev/null || command -v clang >/dev/null || apt_install gcc libc6-dev ||
        die "no C linker on PATH" "install one: apt-get install gcc libc6-dev"
    [ -z "${RUSTUP_TOOLCHAIN:-}" ] || return 0
    if ! command -v rustup >/dev/null; then
        stable=$(rustc --version | cut -d' ' -f2)
        [ "$(printf '%s\n' "$pinned" "$stable" | sort -V | head -1)" = "$pinned" ] ||
            die "rustc is $stable, the crate needs $pinned" "install it: https://rustup.rs"
        return 0
    fi
    rustup run "$pinned" rustc --version >/dev/null 2>&1 && return 0
    stable=$(rustup run stable rustc --version 2>/dev/null | cut -d' ' -f2) || true
    if [ "$stable" = "$pinned" ]; then
        export RUSTUP_TOOLCHAIN=stable
    else
        say "installing Rust $pinned (about a minute)"
        bounded 600 rustup toolchain install "$pinned" --profile minimal --component clippy --component rustfmt </dev/null >&2 ||
            die "Rust $pinned is not installed and could not be downloaded (stable is ${stable:-not installed})" \
                "with a network: rustup toolchain install $pinned" \
                "from an unpacked toolchain: rustup toolchain link $pinned DIRECTORY"
    fi
}
