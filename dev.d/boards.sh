# shellcheck shell=bash
# What the commands for other processors share, besides lib.sh; to be sourced in the folder of the project.
. dev.d/lib.sh

# Of the processor $1: Rust's target, the GNU name, the emulator, and the machine's number in an ELF file.
processor() {
  case "$1" in
    aarch64) printf '%s\n' 'aarch64-unknown-linux-gnu aarch64-linux-gnu qemu-aarch64 EM_AARCH64' ;;
    armv7) printf '%s\n' 'armv7-unknown-linux-gnueabihf arm-linux-gnueabihf qemu-arm EM_ARM' ;;
    *)
      say "processors: aarch64, armv7"
      return 2
      ;;
  esac
}

# Rust's target for the Debian architecture $1.
target_of() {
  case "$1" in
    amd64) printf '%s\n' x86_64-unknown-linux-gnu ;;
    arm64) printf '%s\n' aarch64-unknown-linux-gnu ;;
    armhf) printf '%s\n' armv7-unknown-linux-gnueabihf ;;
    *)
      say "architectures: amd64, arm64, armhf"
      return 2
      ;;
  esac
}

# Rust for target $1, as settings. Where rustup has its standard library there are none; otherwise Debian's compiler and the source of
# the library are unpacked beside each other in the cache, and the library is built along.
foreign_rust() {
  local root="$cache/cross" tool installed
  installed=$(rustup target list --installed 2>/dev/null || true)
  if grep -qx "$1" <<<"$installed"; then return; fi
  if [ ! -e "$root/complete" ]; then
    say "unpacking Debian's Rust and the source of its standard library"
    packages debian-rust
    if ! apt-cache show rustc-web >/dev/null 2>&1; then
      say "this needs Debian 12 with its security updates, or: rustup target add $1"
      exit "$NOT_SET_UP"
    fi
    rm -rf "$root" && mkdir -p "$root/packages" "$root/bin"
    (
      cd "$root/packages"
      apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances rustc-web rust-web-src |
        grep -E '^(rustc-web|rust-web-src|libstd-rust-web.*|libllvm[0-9]+)$' | sort -u | xargs apt-get download -qq
      for package in *.deb; do dpkg-deb -x "$package" ../rust; done
    ) >&2
    rm -r "$root/packages"
    for tool in rustc rustdoc; do
      # shellcheck disable=SC2016 # the script that is written expands them
      printf '#!/bin/sh\nLD_LIBRARY_PATH=%s${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} exec %s "$@"\n' \
        "$root/rust/usr/lib/x86_64-linux-gnu" "$root/rust/usr/bin/$tool" >"$root/bin/$tool"
      chmod +x "$root/bin/$tool"
    done
    touch "$root/complete"
  fi
  printf '%s\n' "RUSTC=$root/bin/rustc" "RUSTDOC=$root/bin/rustdoc" RUSTC_BOOTSTRAP=1
}

# What cargo has to be told when foreign_rust gave the settings $1: nothing where there are none.
build_std() { [ -z "$1" ] || printf '%s\n' '-Zbuild-std=std,panic_unwind,test'; }

# Settings with which cargo links for Rust's target $1 by the compiler of GNU name $2, and runs what it built by the emulator $3 of an ELF
# machine $4, below the target folder $5.
emulation() {
  local library="$5/$1/qemu.so" name
  mkdir -p "$5/$1"
  "$2-gcc" -O1 -shared -fPIC "-DMACHINE=$4" "-DEMULATOR=\"$3\"" "-DSYSROOT=\"/usr/$2\"" -o "$library" tests/qemu.c >&2
  name=$(tr a-z- A-Z_ <<<"$1")
  printf '%s\n' "CARGO_TARGET_DIR=$5" "CARGO_TARGET_${name}_LINKER=$2-gcc" "CARGO_TARGET_${name}_RUNNER=$PWD/tests/qemu $3 /usr/$2 $library"
}

# The tests that are left to boards, with the reason for each.
left_to_boards() { grep -v '^#' tests/emulated.txt; }
