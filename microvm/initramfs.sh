#!/usr/bin/env bash
# Packs one static program as a guest's root file system: the same bytes from the same program, without root and
# without cpio(1).
#
#   microvm/initramfs.sh PROGRAM OUTPUT [NAME]
#
# OUTPUT ends in .cpio or .cpio.gz. As /init, which is the default, it gets what Linux wants beside it: a console, and
# a place for /proc.
set -euo pipefail

if [[ $# != [23] || ! -f $1 || $2 != *.cpio?(.gz) ]]; then
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
    exit 64
fi
program=$1 output=$2 name=${3:-init} inode=0

# One entry of a "newc" archive: every number as 8 hexadecimal digits, name and content padded to 4 bytes. Owner is
# 0:0, time is 0. See https://www.kernel.org/doc/html/latest/driver-api/early-userspace/buffer-format.html
entry() {
    local name=$1 mode=$2 size=$3 major=${4:-0} minor=${5:-0}
    printf '070701'
    printf '%08X' $((inode += 1)) $((8#$mode)) 0 0 1 0 "$size" 0 0 "$major" "$minor" $((${#name} + 1)) 0
    printf '%s\0' "$name"
    pad $((110 + ${#name} + 1))
}
pad() { head -c $((-$1 & 3)) /dev/zero; }

archive() {
    local size
    if [[ $name == init ]]; then
        entry dev 40755 0
        entry dev/console 20600 0 5 1
        entry proc 40555 0
    fi
    size=$(stat -Lc %s "$program")
    entry "$name" 100755 "$size"
    cat "$program"
    pad "$size"
    entry 'TRAILER!!!' 0 0
}

unfinished=$(mktemp "$output.XXXXXX")
trap 'rm -f "$unfinished"' EXIT
case $output in
    *.gz) archive | gzip -9n >"$unfinished" ;;
    *) archive >"$unfinished" ;;
esac
# An unchanged file keeps its time.
if cmp -s "$unfinished" "$output"; then exit; fi
chmod 644 "$unfinished"
mv "$unfinished" "$output"
