#!/usr/bin/env bash
# Makes what a build and a measurement need usable, without root and without changing the machine:
# everything it adds is in a cache directory of its own, but for `rustup target add` and `rustup component add`.
#
#   bench/setup.sh targets    std of <this architecture>-unknown-linux-musl and of wasm32-wasip2, musl's headers for C
#   bench/setup.sh env        the same, then the `export` lines for cargo: eval "$(bench/setup.sh env)";
#                             with --as-is nothing is installed
#   bench/setup.sh wasmtime   the WASM runtime that is weighed
#   bench/setup.sh guest      what a microVM boots, in dist/ (microvm/kernel.sh)
#   bench/setup.sh lints      rustfmt and clippy
#   bench/setup.sh tracer     strace, where it may be installed: a test looks at system calls
#   bench/setup.sh browser    chromium, where it may be installed: tests look at the report's page and the service's
#   bench/setup.sh redis      redis-server, where it may be installed: jobs are kept there
#   bench/setup.sh cache      where the cache is
#
# Settings: OUNCE_CACHE (the cache), OUNCE_TOOLCHAIN_SOURCES (a directory or archive with sources of std),
# WASI_SDK_PATH (a wasi-sdk), OUNCE_KERNEL_SOURCE (a kernel's tree or tarball). Progress goes to stderr, so that
# stdout can be evaluated.
set -euo pipefail

self=$(realpath "${BASH_SOURCE[0]}")
repo=$(dirname "$(dirname "$self")")
cache=$(realpath -m "${OUNCE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ounce}")
recipe=1 # raise it when a sysroot built by an older version of this file must not be used any more
wasm=wasm32-wasip2
wasmtime_version=48.0.8
wasmtime_oldest=38.0.0
wasmtime_features=run,serve,compile,component-model,component-model-async,pooling-allocator,parallel-compilation
wasmtime_features+=,logging,wasi-config,wasi-keyvalue,backtrace,threads,gc,gc-null

say() { printf 'setup: %s\n' "$*" >&2; }
# Exit code 69 (EX_UNAVAILABLE of sysexits(3)): not an error for whoever can do without.
unavailable() { printf 'setup: not made: %s\n' "$*" >&2; exit 69; }
die() { printf 'setup: error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
at_least() { [[ $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$2" ]]; }
# Some cargo calls are not the project's: what is set for the project must not reach them.
plain_cargo() {
    (cd / && env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS -u CARGO_BUILD_TARGET -u CARGO_BUILD_RUSTFLAGS \
        -u CARGO_TARGET_DIR -u MAKEFLAGS -u CARGO_MAKEFLAGS "$@")
}

need_rust() {
    if ! have cargo || ! have rustc; then die "cargo is missing: install Rust from https://rustup.rs, then run this again"; fi
    have cc || die "a C compiler (cc) is missing: install gcc, e.g. apt-get install gcc libc6-dev"
    [[ $cache != *[[:space:]]* ]] || die "the cache path '$cache' has a space, which cargo's flags cannot carry: set OUNCE_CACHE"
    rustc_version=$(rustc -vV) || die "rustc does not run: see its message above"
    release=$(sed -n 's/^release: //p' <<<"$rustc_version")
    host=$(sed -n 's/^host: //p' <<<"$rustc_version")
    musl=${host%%-*}-unknown-linux-musl
    sysroot=$cache/sysroot-$release-$(sha256sum <<<"$rustc_version $recipe" | cut -c 1-9)
    local oldest
    oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$repo/Cargo.toml")
    at_least "$release" "$oldest" || die "rustc is $release, ounce needs $oldest or newer: rustup update, or see https://rustup.rs"
}

# ---- std for the two targets ----

in_toolchain() { compgen -G "$(rustc --print target-libdir --target "$1" 2>/dev/null)/libstd-*.rlib" >/dev/null; }
in_sysroot() { compgen -G "$sysroot/lib/rustlib/$1/lib/libstd-*.rlib" >/dev/null; }
upper() { tr 'a-z-' 'A-Z_' <<<"$1"; }

targets() {
    local target
    for target in "$musl" "$wasm"; do
        in_toolchain "$target" || in_sysroot "$target" || add_target "$target"
    done
    musl_cc || locked musl-headers
    musl_cc || die "C cannot be compiled for $musl: install musl-tools (Debian, Ubuntu), musl-gcc (Fedora), musl (Arch, Alpine)"
}

add_target() {
    if have rustup; then
        say "$1: rustup target add"
        RUSTUP_MAX_RETRIES=1 timeout 300 rustup --quiet target add "$1" >/dev/null 2>&1 && in_toolchain "$1" && return
        say "$1: rustup could not download it; building std from source instead (about half a minute)"
    else
        say "$1: no rustup here; building std from source instead (about half a minute)"
    fi
    locked build-std "$1"
}

# Runs a subcommand of this file while no other set-up works on the cache.
locked() {
    mkdir -p "$cache"
    # --close: a daemon that cargo may start (sccache) must not inherit the lock and keep it.
    local lock=(flock --close --conflict-exit-code 75) status=0
    "${lock[@]}" --nonblock "$cache/lock" "$self" "$@" || status=$?
    if [[ $status == 75 ]]; then
        say "another set-up is at work on $cache: waiting for it"
        status=0
        "${lock[@]}" "$cache/lock" "$self" "$@" || status=$?
    fi
    return "$status"
}

# For what runs under the lock.
new_tmp() {
    rm -rf "$cache"/tmp.* # left by a run that was killed
    tmp=$(mktemp -d "$cache/tmp.XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
}

# Runs under the lock. What is unfinished lies in $tmp, and one rename makes it valid.
build_std() {
    local target=$1
    if in_sysroot "$target"; then return; fi
    new_tmp
    local stage=$tmp/sysroot
    local lib=$stage/lib/rustlib/$target/lib
    mkdir -p "$lib/self-contained"
    link_host_tools "$stage"
    unpack_sources
    # What may be missing is looked for before anything is compiled.
    find_library || give_up "$target" "the source of std $release"
    local library=$found
    if [[ $target == "$wasm" ]]; then
        find_wasi_libc || give_up "$target" "wasi-libc for $wasm"
        cp "$found"/{crt1-command.o,crt1-reactor.o,libc.a} "$lib/self-contained/"
        compile_std "$target" "$library" "$lib"
        links "$stage" "$target" || give_up "$target" "a wasi-libc that fits std $release"
    else
        find_musl || give_up "$target" "musl (libc.a and start files)"
        collect_musl "$found" "$lib/self-contained"
        compile_std "$target" "$library" "$lib"
        choose_libunwind "$stage" "$target" || give_up "$target" "an LLVM libunwind.a that works with musl"
    fi
    mkdir -p "$sysroot/lib/rustlib"
    link_host_tools "$sysroot"
    rm -rf "${sysroot:?}/lib/rustlib/$target"
    mv -T "$stage/lib/rustlib/$target" "$sysroot/lib/rustlib/$target"
    say "$target: std $release is in $sysroot"
}

# rustc looks for its linkers (rust-lld, wasm-component-ld) below the sysroot too.
link_host_tools() {
    mkdir -p "$1/lib/rustlib"
    ln -sfnT "$(rustc --print sysroot)/lib/rustlib/$host" "$1/lib/rustlib/$host"
}

give_up() {
    say "error: std for $1 could not be built: $2 was not found. Tried:"
    printf 'setup:   %s\n' "${tried[@]}" >&2
    say "Any one of these helps:"
    say "  rustup with a network:  rustup target add $1"
    say "  your distribution's package of Rust's std for $1"
    say "  OUNCE_TOOLCHAIN_SOURCES=<a directory with rust-library-$release.tar.xz, wasi-libc-wasip2.tar.xz, libunwind-*.a>"
    if [[ $1 == "$wasm" ]]; then say "  and for WASI's libc alone: WASI_SDK_PATH=<a wasi-sdk>"; fi
    exit 1
}

compile_std() {
    local target=$1 library=$2 lib=$3 flags=(-Zforce-unstable-if-unmarked)
    # As in the official std: no path of this machine in panic messages.
    flags+=("--remap-path-prefix=$library=/rustc/$(sed -n 's/^commit-hash: //p' <<<"$rustc_version")/library")
    say "$target: compiling std $release"
    plain_cargo RUSTC_BOOTSTRAP=1 __CARGO_DEFAULT_LIB_METADATA=bootstrapstd \
        CARGO_TARGET_DIR="$tmp/target" CARGO_ENCODED_RUSTFLAGS="$(IFS=$'\x1f'; echo "${flags[*]}")" \
        cargo build --quiet --locked --manifest-path "$library/sysroot/Cargo.toml" --profile dist \
        --target "$target" --features "panic-unwind backtrace" >"$tmp/cargo.log" 2>&1 ||
        { cat "$tmp/cargo.log" >&2; die "$target: std $release did not compile (cargo's messages are above)"; }
    find "$tmp/target/$target/dist/deps" -name '*.rlib' ! -name 'libsysroot-*' -exec mv -t "$lib" {} +
}

# Whether a program links, and where it can run here, whether it unwinds.
links() {
    cat >"$tmp/smoke.rs" <<'RUST'
fn main() {
    if cfg!(panic = "unwind") {
        std::panic::set_hook(Box::new(|_| ()));
        let caught = std::thread::spawn(|| panic!("{}", std::backtrace::Backtrace::force_capture())).join();
        assert!(caught.is_err());
    }
    println!("works");
}
RUST
    rustc --sysroot "$1" --target "$2" -o "$tmp/smoke" "$tmp/smoke.rs" >"$tmp/smoke.log" 2>&1 || return 1
    [[ $2 == "$wasm" || $("$tmp/smoke" 2>/dev/null) == works ]]
}

# ---- the pieces of a sysroot: each `find_*` leaves a directory or file in $found, or fails ----

found=
tried=()

# Leaves the directory of OUNCE_TOOLCHAIN_SOURCES in $sources.
unpack_sources() {
    sources=${OUNCE_TOOLCHAIN_SOURCES:-}
    if [[ -f $sources ]]; then
        mkdir "$tmp/sources"
        tar -xf "$sources" -C "$tmp/sources"
        sources=$(dirname "$(find "$tmp/sources" -name 'rust-library-*' -print -quit)")
    fi
}

find_library() {
    found=$(rustc --print sysroot)/lib/rustlib/src/rust/library
    tried+=("the toolchain's rust-src component ($found)")
    if [[ -f $found/sysroot/Cargo.toml ]]; then return; fi

    tried+=("Debian's rust-src, which would have to be version $release")
    if deb_versions rust-src | grep -q "^${release}[+~-]" && deb rust-src; then
        found=$tmp/deb/rust-src/usr/src/rustc-$release/library
        if [[ -f $found/sysroot/Cargo.toml ]]; then return; fi
    fi

    tried+=("rust-library-$release.tar.xz in OUNCE_TOOLCHAIN_SOURCES (${sources:-not set})")
    found=$tmp/library
    [[ -f $sources/rust-library-$release.tar.xz ]] || return 1
    mkdir "$found" && tar -xf "$sources/rust-library-$release.tar.xz" -C "$found"
}

find_wasi_libc() {
    found=${WASI_SDK_PATH:-}/share/wasi-sysroot/lib/$wasm
    tried+=("WASI_SDK_PATH (${WASI_SDK_PATH:-not set})")
    if [[ -n ${WASI_SDK_PATH:-} && -f $found/libc.a ]]; then return; fi

    tried+=("Debian's wasi-libc, which would have to have a $wasm directory")
    if deb wasi-libc; then
        found=$(find "$tmp/deb/wasi-libc" -path "*/$wasm/libc.a" -printf '%h' -quit)
        if [[ -n $found ]]; then return; fi
    fi

    tried+=("wasi-libc-wasip2.tar.xz in OUNCE_TOOLCHAIN_SOURCES (${sources:-not set})")
    [[ -f $sources/wasi-libc-wasip2.tar.xz ]] || return 1
    found=$tmp/$wasm
    tar -xf "$sources/wasi-libc-wasip2.tar.xz" -C "$tmp"
}

find_musl() {
    local arch=${host%%-*}
    # Debian and Ubuntu, Arch, Fedora.
    for found in "/usr/lib/$arch-linux-musl" /usr/lib/musl/lib "/usr/$arch-linux-musl/lib64"; do
        tried+=("musl in $found")
        if [[ -f $found/libc.a && -f $found/rcrt1.o ]]; then return; fi
    done
    tried+=("Debian's musl-dev")
    found=$tmp/deb/musl-dev/usr/lib/$arch-linux-musl
    deb musl-dev && [[ -f $found/libc.a ]]
}

# How C (SQLite) is compiled for musl, in $compiler and $compiler_flags: by musl's own wrapper of gcc, or by the C
# compiler that there is, which is told to look at musl's headers instead of the system's.
musl_cc() {
    local arch=${host%%-*} name=CC_${musl//-/_} include own
    compiler=${!name:-} compiler_flags=
    if [[ -n $compiler ]]; then return; fi
    if [[ $(cc -dumpmachine) == *-musl* ]]; then compiler=cc; return; fi
    for compiler in "$arch-linux-musl-gcc" musl-gcc; do
        if have "$compiler"; then return; fi
    done
    compiler=cc
    own=$(cc -print-file-name=include)
    if [[ $own != /* ]]; then own=$(cc -print-resource-dir)/include; fi # clang
    # Debian and Ubuntu, Arch, Fedora, and what `musl-headers` has fetched.
    for include in "/usr/include/$arch-linux-musl" /usr/lib/musl/include "/usr/$arch-linux-musl/include" "$cache/musl/$arch"; do
        compiler_flags="-nostdinc -isystem $include -isystem $own -U_FORTIFY_SOURCE -fno-stack-protector"
        if [[ -f $include/stdio.h ]]; then return; fi
    done
    return 1
}

# Runs under the lock. Where there is no musl-dev to be had, `musl_cc` still fails afterwards, which is said.
musl_headers() {
    local arch=${host%%-*}
    new_tmp
    if ! deb musl-dev; then return; fi
    mkdir -p "$cache/musl"
    rm -rf "${cache:?}/musl/$arch"
    mv -T "$tmp/deb/musl-dev/usr/include/$arch-linux-musl" "$cache/musl/$arch"
    say "$musl: Debian's headers of musl are in $cache/musl"
}

# Start files of musl and gcc, and a libc.a with what compiled C code asks of libgcc (e.g. __popcountdi2).
collect_musl() {
    local from=$1 to=$2 object
    cp "$from"/{crt1,Scrt1,rcrt1,crti,crtn}.o "$from"/lib*.a "$to/"
    for object in crtbegin.o crtbeginS.o crtend.o crtendS.o; do
        cp "$(cc -print-file-name="$object")" "$to/"
    done
    cp "$(cc -print-libgcc-file-name)" "$tmp/libgcc.a"
    (cd "$tmp" && cp "$from/libc.a" libc-musl.a && # `ar -M` takes no unusual characters in paths
        printf '%s\n' 'create libc.a' 'addlib libc-musl.a' 'addlib libgcc.a' save end | ar -M)
    mv "$tmp/libc.a" "$to/libc.a"
}

# Takes the first libunwind with which a program links and unwinds: not every version gets on with musl.
choose_libunwind() {
    local stage=$1 target=$2 candidate package
    local to=$stage/lib/rustlib/$target/lib/self-contained/libunwind.a
    # LLVM's libunwind was compiled for glibc with fortified headers; musl lacks that one function.
    cat >"$tmp/shim.c" <<'C'
int vfprintf(void *, const char *, __builtin_va_list);
int __fprintf_chk(void *file, int flag, const char *format, ...) {
    __builtin_va_list arguments;
    __builtin_va_start(arguments, format);
    int written = vfprintf(file, format, arguments);
    __builtin_va_end(arguments);
    return written;
}
C
    cc -O2 -fPIC -ffreestanding -fno-stack-protector -U_FORTIFY_SOURCE -c -o "$tmp/shim.o" "$tmp/shim.c"
    tried+=("LLVM's libunwind.a: installed below /usr/lib, in OUNCE_TOOLCHAIN_SOURCES, Debian's libunwind-*-dev")
    for candidate in /usr/lib/llvm-*/lib/libunwind.a "$sources"/libunwind-*.a \
        $(deb_names libunwind- | grep -E '^libunwind-[0-9]+-dev$' | sort -V); do
        if [[ $candidate == libunwind-* ]]; then
            package=$candidate
            deb "$package" || continue
            candidate=$(find "$tmp/deb/$package" -path '*/llvm-*/libunwind.a' -print -quit)
        fi
        [[ -f $candidate ]] || continue
        cp "$candidate" "$to"
        chmod u+w "$to"
        if ar q "$to" "$tmp/shim.o" && links "$stage" "$target"; then return; fi
        tried+=("$candidate: does not link or does not unwind")
    done
    return 1
}

# Unpacks a Debian package in $tmp/deb/<name>; nothing is installed.
deb() {
    if [[ -d $tmp/deb/$1 ]]; then return; fi
    have apt-get && have dpkg-deb || return 1
    (mkdir -p "$tmp/deb" && cd "$tmp/deb" && apt_get download "$1" &&
        dpkg-deb -x "$1"_*.deb "$1")
}

# A container image has no package lists, and a user may not write the system's: then it takes lists of its own.
apt_get() {
    local lists=$tmp/apt/lists options=(-o "APT::Sandbox::User=$(id -un)")
    if [[ ! -d $lists ]] && ! apt-get "${options[@]}" download --print-uris musl-dev >/dev/null 2>&1; then
        say "apt-get has no package lists: fetching them (not into the system)"
        mkdir -p "$lists/partial" "$tmp/apt/cache/archives/partial"
        apt-get "${options[@]}" -o "Dir::State::Lists=$lists" -o "Dir::Cache=$tmp/apt/cache" update >/dev/null 2>&1 || true
    fi
    if [[ -d $lists ]]; then options+=(-o "Dir::State::Lists=$lists" -o "Dir::Cache=$tmp/apt/cache"); fi
    if [[ $1 == download ]]; then apt-get "${options[@]}" "$@" >/dev/null 2>&1; else apt-cache "${options[@]}" "$@" 2>/dev/null; fi
}
deb_versions() { if have apt-cache; then apt_get madison "$1" | cut -d '|' -f 2 | tr -d ' '; fi; }
deb_names() { if have apt-cache; then apt_get pkgnames "$1"; fi; }

# ---- the rest ----

# shellcheck source=microvm/kernel.sh
source "$repo/microvm/kernel.sh"

env_lines() {
    local target name
    for target in "$musl" "$wasm"; do
        if in_toolchain "$target" || ! in_sysroot "$target"; then continue; fi
        name=CARGO_TARGET_$(upper "$target")
        # cargo gives these to code for that target alone: build scripts and macros keep the toolchain's own std.
        printf 'export %s_RUSTFLAGS=%q\n' "$name" "--sysroot=$sysroot"
        printf 'export %s_RUSTDOCFLAGS=%q\n' "$name" "--sysroot=$sysroot"
    done
    if musl_cc; then
        printf 'export CC_%s=%q\n' "${musl//-/_}" "$compiler"
        if [[ -n $compiler_flags ]]; then printf 'export CFLAGS_%s=%q\n' "${musl//-/_}" "$compiler_flags"; fi
    fi
    printf 'export OUNCE_MUSL=%q PATH=%q\n' "$musl" "$cache/bin:$PATH"
}

wasmtime_usable() {
    local program version
    for program in "$(type -P wasmtime || true)" "$cache/bin/wasmtime"; do
        [[ -x $program ]] || continue
        version=$("$program" --version | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -n 1)
        if at_least "$version" "$wasmtime_oldest"; then return; fi
        say "$program is $version, older than $wasmtime_oldest: not used"
    done
    return 1
}

# Runs under the lock. A build that was interrupted goes on where it was.
install_wasmtime() {
    if wasmtime_usable 2>/dev/null; then return; fi # installed while this one waited
    if have cargo-binstall; then
        say "wasmtime $wasmtime_version: cargo binstall, into $cache/bin"
        if plain_cargo cargo binstall --no-confirm --root "$cache" "wasmtime-cli@$wasmtime_version" >&2; then return; fi
    fi
    say "wasmtime $wasmtime_version: cargo install, into $cache/bin (once; about 12 CPU-minutes, 6 to 7 minutes on 2 cores)"
    plain_cargo CARGO_TARGET_DIR="$cache/wasmtime-build" cargo install --quiet --locked --root "$cache" \
        wasmtime-cli --version "$wasmtime_version" --no-default-features --features "$wasmtime_features" >&2
    rm -rf "$cache/wasmtime-build"
}

lints() {
    local tool
    for tool in rustfmt clippy; do
        if cargo "${tool/rustfmt/fmt}" --version >/dev/null 2>&1; then continue; fi
        have rustup || die "cargo ${tool/rustfmt/fmt} is missing: install your distribution's package of $tool"
        say "$tool: rustup component add"
        rustup --quiet component add "$tool" >&2
    done
}

# Debian's package redis-server would start one at once, for good. Its program is that of redis-tools, which acts by its
# name.
redis() {
    if have redis-server || [[ -x $cache/bin/redis-server ]]; then return; fi
    have redis-check-rdb || install_packages redis-tools || return 1
    mkdir -p "$cache/bin"
    ln -sf "$(type -P redis-check-rdb)" "$cache/bin/redis-server"
}

case ${1:-} in
    targets) need_rust; targets ;;
    env) need_rust; [[ ${2:-} == --as-is ]] || targets; env_lines ;;
    build-std) need_rust; build_std "$2" ;; # this and the next three for this file alone: they run under its lock
    musl-headers) need_rust; musl_headers ;;
    install-wasmtime) install_wasmtime ;;
    build-kernels) build_kernels ;;
    wasmtime) need_rust; wasmtime_usable || locked install-wasmtime ;;
    guest) guest ;;
    lints) need_rust; lints ;;
    tracer) have strace || install_packages strace || say "no strace: install it to test what Unikraft is asked for" ;;
    browser) have chromium || install_packages chromium || say "no chromium: install it to test what pages look like" ;;
    redis) redis || say "no redis-server: install it to test jobs that are kept there" ;;
    cache) echo "$cache" ;;
    *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$self" >&2; exit 64 ;;
esac
