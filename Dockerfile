# Three images from scratch, each one static binary: standard (the default), microvm, minimal.
#
#   docker build -t ounce:standard .                              from source; wants BuildKit and the Rust image
#   docker build -t ounce:minimal --target minimal .
#   docker buildx build --platform linux/amd64,linux/arm64 .      the compiler runs natively and cross-compiles
#   make images                                                   all three, from the binaries in dist/
#
# `make images` also serves where the Rust image cannot be pulled, and the builder that was Docker's before BuildKit.

# As rust-version in Cargo.toml.
ARG RUST_VERSION=1.95
# Where the binaries come from: `build` compiles them here, `prebuilt` takes those of `make build`, which are for one
# architecture.
ARG BINARIES=build

# ---- build: begin (bench/images.sh leaves this stage out)
FROM --platform=$BUILDPLATFORM rust:${RUST_VERSION}-slim AS build
ARG TARGETARCH
WORKDIR /src

# Rust brings musl along for each target, but neither a C compiler to link with nor the headers that SQLite wants.
RUN set -eu; \
    case "$TARGETARCH" in \
        amd64) arch=x86_64 gcc=gcc-x86-64-linux-gnu ;; \
        arm64) arch=aarch64 gcc=gcc-aarch64-linux-gnu ;; \
        *) echo "for amd64 and arm64, not for '$TARGETARCH'" >&2; exit 1 ;; \
    esac; \
    rustup target add "$arch-unknown-linux-musl"; \
    dpkg --add-architecture "$TARGETARCH"; \
    apt-get update; \
    apt-get install --yes --no-install-recommends "$gcc" "musl-dev:$TARGETARCH"; \
    rm -rf /var/lib/apt/lists/*; \
    headers="-nostdinc -isystem /usr/include/$arch-linux-musl"; \
    headers="$headers -isystem $("$arch-linux-gnu-gcc" -print-file-name=include)"; \
    { \
        echo "export CARGO_BUILD_TARGET=$arch-unknown-linux-musl \
              RUSTFLAGS='-Clinker=$arch-linux-gnu-gcc -Csymbol-mangling-version=v0'"; \
        echo "export CC_${arch}_unknown_linux_musl=$arch-linux-gnu-gcc CFLAGS_${arch}_unknown_linux_musl='$headers'"; \
    } >/env

# The workspace does not load without its other member; that it holds nothing keeps changes there out of here.
COPY bench/Cargo.toml bench/
RUN mkdir bench/src && touch bench/src/lib.rs
COPY Cargo.toml Cargo.lock build.rs ./
COPY model model
COPY src src

# What was compiled stays in a cache mount, dependencies above all. Our own sources are touched because cargo goes by
# their times, and a checkout older than the last build would not be compiled; the results get a fixed time, so that
# the same binary makes the same layer.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,id=ounce-target \
    set -eu; \
    . /env; \
    LIBSQLITE3_FLAGS=$(tr '\n' ' ' <src/native/jobs/sqlite/flags); export LIBSQLITE3_FLAGS; \
    find src model build.rs -exec touch {} +; \
    cargo build --locked -p ounce --profile dist; \
    cargo build --locked -p ounce --profile dist-minimal --no-default-features --features minimal; \
    install -D "target/$CARGO_BUILD_TARGET/dist/ounce" /out/ounce; \
    install -D "target/$CARGO_BUILD_TARGET/dist-minimal/ounce" /out/ounce-minimal; \
    mkdir /out/data; \
    touch --date=@0 /out/*
# ---- build: end

FROM scratch AS prebuilt
COPY dist/ounce dist/ounce-minimal /out/
# Empty: `make images` makes it.
COPY dist/data /out/data

FROM ${BINARIES} AS binaries

# Nothing but the binary: no shell, no libc, and no CA certificates, because nothing calls out.
FROM scratch AS image
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["/ounce", "health"]
ENTRYPOINT ["/ounce"]
# No org.opencontainers.image.created: the same input should make the same image.
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ounce" \
      org.opencontainers.image.description="A tiny HTTP service: probes, health, metrics" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"

FROM image AS minimal
COPY --from=binaries /out/ounce-minimal /ounce

# Jobs are kept in a volume: of its own for each container, unless it is given one.
FROM image AS keeping
COPY --from=binaries --chown=65532:65532 /out/data /data
VOLUME /data
ENV OUNCE_DATA_DIR=/data

# For runtimes that give each container a virtual machine (Kata, Fly): one CPU.
FROM keeping AS microvm
ENV OUNCE_VARIANT=microvm OUNCE_WORKERS=1
COPY --from=binaries /out/ounce /ounce

# The last stage is what `docker build .` and `kraft` make.
FROM keeping AS standard
COPY --from=binaries /out/ounce /ounce
