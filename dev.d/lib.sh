# shellcheck shell=bash
# What several commands of ./dev need, to be sourced in the folder of the project. Functions take what they need as arguments and
# give results on stdout, settings for the environment as lines NAME=VALUE; what people read goes to stderr.
set -euo pipefail
shopt -s inherit_errexit

cache="${XDG_CACHE_HOME:-$HOME/.cache}/ramand-dev"
export PATH="$HOME/.cargo/bin:$PATH"

# The program cannot go on before somebody has changed something here; docs/exit-codes.md.
readonly NOT_SET_UP=78

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }

# Exports the settings of $1, one a line.
environment() {
  local setting
  while read -r setting; do
    [ -z "$setting" ] || export "${setting?}"
  done <<<"$1"
}

# Waits for a yes on a terminal, unless somebody has given it already.
confirm() {
  local answer
  if [ "${RAMAND_DEV_YES:-}" = 1 ] || [ "${CI:-}" = true ] || [ ! -t 0 ] || [ ! -t 2 ]; then return; fi
  read -r -p "$1 [y/N] " answer
  case "$answer" in
    y | Y | yes) ;;
    *)
      say "nothing was installed"
      exit "$NOT_SET_UP"
      ;;
  esac
}

# What purpose $1 needs: a command that succeeds where it is there by other means, then Debian packages, then why.
need() {
  case "$1" in
    c) printf '%s|' 'command -v cc' 'gcc libc6-dev' 'a C compiler: SQLite is built along, and Rust links by it' ;;
    c++) printf '%s|' 'command -v c++' 'g++ libc6-dev' 'a C++ compiler: libFuzzer is built by it' ;;
    rustup) printf '%s|' 'command -v cargo' 'curl ca-certificates' 'rustup, which installs Rust, is fetched by it' ;;
    python) printf '%s|' 'python3 -c "import ensurepip"' 'python3 python3-venv' 'a folder of Python packages for tests and tools' ;;
    browser) printf '%s|' 'command -v chromium' 'chromium' 'the tests open the live page and reports in it' ;;
    node) printf '%s|' 'command -v node' 'nodejs npm' 'the tests of the live page are written in JavaScript' ;;
    tests)
      printf '%s|' false 'mosquitto mosquitto-clients openssl bubblewrap strace systemd shellcheck prometheus' \
        'the tests start these programs beside ramand'
      ;;
    aarch64) printf '%s|' false 'gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user' 'links for the board and runs its programs' ;;
    armv7) printf '%s|' false 'gcc-arm-linux-gnueabihf libc6-dev-armhf-cross qemu-user' 'links for the board and runs its programs' ;;
    debian-rust) printf '%s|' false libxml2 "Debian's Rust, unpacked into the cache, needs this library" ;;
    binutils) printf '%s|' false binutils 'reads which glibc a program asks for, and strips it' ;;
    lintian) printf '%s|' false lintian 'reads each package, and fails on its errors' ;;
    debootstrap) printf '%s|' false debootstrap 'makes the fresh Debian that a package is installed in' ;;
    *) printf '%s: no purpose of packages\n' "$1" >&2 && return 1 ;;
  esac
}

# Installs the Debian packages that the purposes $@ need and that are not there. Without root it says what to do instead.
packages() {
  local purpose found there names why name lacking missing=() reasons=() as_root=()
  for purpose in "$@"; do
    found=$(need "$purpose")
    IFS='|' read -r there names why _ <<<"$found"
    if bash -c "$there" >/dev/null 2>&1; then continue; fi
    lacking=()
    for name in $names; do
      dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || lacking+=("$name")
    done
    [ ${#lacking[@]} -eq 0 ] || reasons+=("  ${lacking[*]}: $why")
    missing+=("${lacking[@]}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "these Debian packages are missing:"
  printf '%s\n' "${reasons[@]}" >&2
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root=(sudo); fi
  fi
  if { [ "$(id -u)" -ne 0 ] && [ ${#as_root[@]} -eq 0 ]; } || ! command -v apt-get >/dev/null; then
    say "please install them, then run this again: sudo apt-get install --no-install-recommends ${missing[*]}"
    exit "$NOT_SET_UP"
  fi
  confirm "install them as root?"
  say "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# A C compiler, and Rust: by rustup, only where there is no cargo.
toolchain() {
  packages c
  if command -v cargo >/dev/null; then return; fi
  packages rustup
  say "Rust is missing: rustup installs it below ${CARGO_HOME:-$HOME/.cargo}, for this user alone"
  confirm "install it?"
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal -c clippy -c rustfmt >/dev/null
}

# The folder where cargo builds.
target_folder() { realpath -m "${CARGO_TARGET_DIR:-target}"; }

# The programs of a Python environment with the packages of file $2, made once as $1 in the cache: its folder.
venv() {
  local folder
  folder="$cache/$1-$(sha256sum "$2" | cut -c1-16)"
  if [ ! -e "$folder/complete" ]; then
    packages python
    say "installing the Python packages of $2"
    python3 -m venv --clear "$folder" >&2
    "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$2" >&2
    touch "$folder/complete"
  fi
  printf '%s\n' "$folder/bin"
}

# cargo's $1 in version $2, built once and kept in the cache: the folder of the program.
tool() {
  if ! grep -qs "^\"$1 $2 " "$cache/tools/.crates.toml"; then
    toolchain
    say "building $1 $2"
    cargo install --quiet --locked --root "$cache/tools" "$1@$2" >&2
  fi
  printf '%s\n' "$cache/tools/bin"
}

# Independent implementations that tests and benchmarks compare with: the Python that has them. Not in the cache, it takes a minute.
peers() {
  local folder
  folder=$(venv venv tests/requirements.txt)
  printf '%s\n' "$folder/python"
}

# Installs everything that the tests compare with; gives the settings of their environment.
test_settings() {
  local python require=all-but-data
  packages c rustup tests python browser node
  toolchain
  python=$(peers)
  if [ ! -e web/node_modules/.complete ]; then
    say "installing the page's test tools"
    (cd web && npm ci --no-audit --no-fund --silent >&2 && touch node_modules/.complete)
  fi
  # Who is not root may be refused a mount or an owner.
  [ "$(id -u)" -eq 0 ] || require+=,privilege
  printf '%s\n' "RAMAND_TEST_PYTHON=$python" "RAMAND_TEST_REQUIRE=${RAMAND_TEST_REQUIRE:-$require}"
  # Many tests wait, for a line at its true speed or for a browser: twice as many at a time as there are cores.
  printf '%s\n' "RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((2 * $(nproc)))}"
}

# One line about a run of tests, then what was skipped: from cargo's output in file $1, and what tests/support/missing.rs wrote to $2.
summary() {
  awk '
    FILENAME == ARGV[1] {
      sub(/-[0-9a-f]+ /, " ") # the hash in the name of the program
      if (!seen[$0]++) { if (!named[$1 " " $2]++) skipped++; line[++lines] = $0 }
      next
    }
    /^test result:/ { programs++; passed += $4; failed += $6 }
    END {
      printf "%d passed, %d failed, %d skipped, in %d programs\n", passed - skipped, failed, skipped, programs
      for (i = 1; i <= lines; i++) print "skipped: " line[i]
    }' "$2" "$1"
}
