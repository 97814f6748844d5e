#!/usr/bin/env bash
# Packs the binaries of dist/ as images: ounce:standard, ounce:microvm, ounce:minimal (another name: OUNCE_IMAGE).
# Exit code 69 (EX_UNAVAILABLE of sysexits(3)) when there is no Docker to do it.
#
# It leaves the Dockerfile's compiling stage out: BuildKit would skip it, but the builder before BuildKit would pull
# its image. So the same command works for buildx, for older clients and without BuildKit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
name=${OUNCE_IMAGE:-ounce}

unavailable() { printf 'images: not built: %s\n' "$*" >&2; exit 69; }
die() { printf 'images: error: %s\n' "$*" >&2; exit 1; }

command -v docker >/dev/null || unavailable "Docker is not installed (https://docs.docker.com/engine/install/)"
why=$(docker version --format '{{.Server.Version}}' 2>&1 >/dev/null) || unavailable "${why//$'\n'/ }"
for binary in dist/ounce dist/ounce-minimal; do
    [[ -f $binary ]] || die "$binary is missing: make build"
done

mkdir -p dist/data # the volume's mount point
revision=$(git rev-parse HEAD 2>/dev/null) || revision=unknown
if [[ $revision != unknown && -n $(git status --porcelain) ]]; then revision+=-dirty; fi
options=(--quiet --file - --build-arg BINARIES=prebuilt --build-arg "REVISION=$revision")
# Some builders of buildx keep what they built to themselves; the other clients do not know the flag.
if [[ $(docker build --help 2>/dev/null) == *--load* ]]; then options+=(--load); fi

sizes=
for variant in standard microvm minimal; do
    image=$name:$variant
    output=$(sed '/^# ---- build: begin/,/^# ---- build: end/d' Dockerfile |
        docker build "${options[@]}" --target "$variant" --tag "$image" . 2>&1) || die "$image: $output"
    sizes+=", $image $(($(docker image inspect --format '{{.Size}}' "$image") / 1000)) KB"
done
echo "images: ${sizes#, }"
