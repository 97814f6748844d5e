# Makes what a guest boots: archives of dist/ounce, and kernels from kernel.config. Part of bench/setup.sh, which
# sources it: `bench/setup.sh guest`.
#
# The kernel's source: OUNCE_KERNEL_SOURCE (a clean tree or a tarball), or else Debian's or Ubuntu's linux-source package,
# installed (/usr/src) or fetched. What is built is kept in the cache, by source and configuration.
# shellcheck shell=bash disable=SC2154 # repo, cache and self are bench/setup.sh's

tested_kernel=linux-source-6.1

kernel_fragments() { # of one kernel, each on top of the ones before
    printf '%s\n' "$repo/microvm/kernel.config"
    if [[ $1 == vmlinux-smp ]]; then printf '%s\n' "$repo/microvm/smp.config"; fi
}

# Leaves dist/initramfs.cpio, dist/rootfs.cpio, dist/vmlinux and dist/vmlinux-smp, and QEMU where that may be installed.
guest() {
    [[ -f $repo/dist/ounce ]] || die "dist/ounce is missing: make build"
    "$repo/microvm/initramfs.sh" "$repo/dist/ounce" "$repo/dist/initramfs.cpio"
    # For Unikraft, whose loader is told where the program is.
    "$repo/microvm/initramfs.sh" "$repo/dist/ounce" "$repo/dist/rootfs.cpio" ounce
    [[ $(uname -m) == x86_64 ]] || unavailable "guests are for x86-64 alone"
    if ! have qemu-system-x86_64; then
        install_packages qemu-system-x86 || say "no QEMU: install qemu-system-x86 (Debian's name of the package) to boot guests"
    fi
    kernel
    (cd "$repo" && stat -c '%n %s' dist/vmlinux dist/vmlinux-smp dist/initramfs.cpio |
        awk '{ line = line sprintf("%s%s %.0f KB", NR > 1 ? ", " : "guest: ", $1, $2 / 1000) } END { print line }')
}

# Only where nobody has to be asked: as root, from the distribution.
install_packages() {
    [[ $(id -u) == 0 ]] && have apt-get || return 1
    say "apt-get install $*, as root"
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@")
    "${install[@]}" >/dev/null 2>&1 || { apt-get update && "${install[@]}"; } >&2
}

kernel() {
    local name
    if ! find_kernel_source || ! kernels_built; then
        need_kernel_tools
        locked build-kernels
        find_kernel_source
    fi
    mkdir -p "$repo/dist"
    for name in vmlinux vmlinux-smp; do
        if cmp -s "$(kept_kernel "$name")" "$repo/dist/$name"; then continue; fi
        cp "$(kept_kernel "$name")" "$repo/dist/$name.new"
        mv "$repo/dist/$name.new" "$repo/dist/$name"
    done
}

# Leaves a tree or a tarball in $kernel_source; fails when it is still to be fetched.
find_kernel_source() {
    kernel_source=${OUNCE_KERNEL_SOURCE:-}
    if [[ -n $kernel_source ]]; then
        [[ -e $kernel_source ]] || die "OUNCE_KERNEL_SOURCE: there is no $kernel_source"
        return
    fi
    local place
    for place in /usr/src "$cache"; do
        kernel_source=$(compgen -G "$place/linux-source-*.tar.*" | sort -V | tail -n 1) && return
    done
    return 1
}

kept_kernel() {
    local file=$kernel_source fragments
    if [[ -d $file ]]; then file+=/Makefile; fi # has the version
    mapfile -t fragments < <(kernel_fragments "$1")
    echo "$cache/kernels/$1-$( (
        stat -Lc '%s %Y' "$file"
        realpath "$kernel_source"
        cat "${fragments[@]}"
        declare -f shrink build_kernel
    ) | sha256sum | cut -c 1-16)"
}

kernels_built() { [[ -f $(kept_kernel vmlinux) && -f $(kept_kernel vmlinux-smp) ]]; }

need_kernel_tools() {
    local packages=() tool
    for tool in gcc make flex bison bc xz; do
        have "$tool" || packages+=("${tool/%xz/xz-utils}")
    done
    # objtool, a part of every build, reads ELF files.
    printf '#include <gelf.h>\n' | cc -E - >/dev/null 2>&1 || packages+=(libelf-dev)
    if [[ ${#packages[@]} == 0 ]]; then return; fi
    install_packages "${packages[@]}" ||
        unavailable "to build the guest's kernel, install ${packages[*]} (Debian's names of the packages)"
}

# Runs under the lock. What is unfinished lies in $tmp, and one rename makes it valid.
build_kernels() {
    local name tree
    if find_kernel_source && kernels_built; then return; fi # built while this one waited
    new_tmp
    find_kernel_source || fetch_kernel_source
    tree=$tmp/tree
    say "unpacking $kernel_source"
    if [[ -d $kernel_source ]]; then
        cp -a "$kernel_source" "$tree"
    else
        mkdir "$tree"
        tar -xf "$kernel_source" -C "$tree" --strip-components 1
    fi
    shrink "$tree"
    for name in vmlinux vmlinux-smp; do
        build_kernel "$name" "$tree" "$(kept_kernel "$name")"
    done
}

fetch_kernel_source() {
    local package
    package=$(deb_names linux-source- | grep -E '^linux-source-[0-9.]+$' | sort -V || true)
    if grep -qx "$tested_kernel" <<<"$package"; then package=$tested_kernel; else package=$(tail -n 1 <<<"$package"); fi
    say "fetching ${package:-linux-source} (about 140 MB, once)"
    if [[ -z $package ]] || ! deb "$package"; then
        unavailable "no kernel source here: set OUNCE_KERNEL_SOURCE to a tree or tarball of https://kernel.org ($tested_kernel is what is tested)"
    fi
    mv "$(find "$tmp/deb/$package" -name 'linux-source-*.tar.*' -type f -print -quit)" "$cache/"
    find_kernel_source
}

# What no option of the kernel does. Its layout is for machines with memory to spare:
# - sections are aligned to 2 MB, for large pages: 7 MB while it boots, 3 MB for ever;
# - descriptors of pages are allocated for 128 MB at a time, which are 2 MB. Here: for 16 MB, in at most 1 TB.
shrink() {
    local layout=$1/arch/x86/kernel/vmlinux.lds.S sections=$1/arch/x86/include/asm/sparsemem.h
    sed -i 's/ALIGN(HPAGE_SIZE)/ALIGN(PAGE_SIZE)/; s/ALIGN(PMD_SIZE)/ALIGN(PAGE_SIZE)/' "$layout"
    sed -i -E 's/^(# *define SECTION_SIZE_BITS\s+)27\b.*/\124/; s/^(# *define MAX_PHYSMEM_BITS\s+)\(?pgtable_l5.*/\140/' "$sections"
    if ! grep -q 'BITS\s24$' "$sections" || ! grep -q 'BITS\s40$' "$sections" || grep -qE 'ALIGN\((HPAGE|PMD)_SIZE' "$layout"; then
        say "this kernel cannot be made as small as 6.1: it will need some MB more"
    fi
}

build_kernel() {
    local name=$1 tree=$2 kept=$3 out=$tmp/$1 fragments
    mapfile -t fragments < <(kernel_fragments "$name")
    mkdir "$out"
    cat "${fragments[@]}" >"$out/wanted"
    # The same bytes on every machine: the kernel's banner names neither it nor its user.
    local make=(env -u MAKEFLAGS -u MAKELEVEL KBUILD_BUILD_USER=ounce KBUILD_BUILD_HOST=ounce
        KBUILD_BUILD_TIMESTAMP="$(date -ud "@$(stat -Lc %Y "$tree/Makefile")")" make -s -C "$tree" O="$out")
    say "$name: compiling the kernel (2 to 3 minutes on 2 idle cores)"
    if ! "${make[@]}" KCONFIG_ALLCONFIG="$out/wanted" allnoconfig >"$out/log" 2>&1 ||
        ! check_config "$name" "$tree" "$out" ||
        ! "${make[@]}" -j "$(nproc)" vmlinux >>"$out/log" 2>&1; then
        tail -n 30 "$out/log" >&2
        die "$name: the kernel did not compile (the end of its messages is above)"
    fi
    # Symbols are not loaded, and are most of the file.
    strip -o "$out/stripped" "$out/vmlinux"
    mkdir -p "$cache/kernels"
    mv "$out/stripped" "$kept"
    say "$name: $(stat -c %s "$kept") bytes, in $kept"
}

# Other versions have other options: one that this source does not know is worth a warning, one that it knows and
# refuses an error.
check_config() {
    local name=$1 tree=$2 out=$3 option value unknown=() refused=()
    while IFS='=' read -r option value; do
        if grep -qx "$option=$value" "$out/.config"; then continue; fi
        if [[ $value == n ]] && ! grep -q "^$option=" "$out/.config"; then continue; fi
        if grep -rqsE --include='Kconfig*' "^\s*(menu)?config ${option#CONFIG_}\$" "$tree"; then
            refused+=("$option=$value")
        else
            unknown+=("$option=$value")
        fi
    done < <(sed -n 's/^\(CONFIG_[A-Z0-9_]*=.*\)/\1/p' "$out/wanted" | tac | sort -u -t = -k 1,1)
    if [[ ${#unknown[@]} != 0 ]]; then say "$name: this kernel has no ${unknown[*]}"; fi
    [[ ${#refused[@]} == 0 ]] || die "$name: this kernel's configuration refuses ${refused[*]}"
}
