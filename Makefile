# Every target installs or builds what it needs (bench/setup.sh) and is quick the second time.
# Needs GNU make, bash, a C compiler and Rust; the rest is fetched or built into a cache.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help setup build images guest pack bench weigh gate doctor test test-long order clean

SETUP := bench/setup.sh
IMAGES := bench/images.sh
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
BENCH := $(TARGET_DIR)/release/ounce-bench
# Sources of Rust's std, for machines on which rustup has no server to ask.
export OUNCE_TOOLCHAIN_SOURCES ?= $(abspath $(wildcard ../shared/toolchain))
# These would replace the flags of each target; and what is weighed should not differ from shell to shell.
unexport RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET

# SQLite without what nobody asks it for. A plain `cargo build` takes all of it, which works as well.
export LIBSQLITE3_FLAGS := $(shell cat src/native/jobs/sqlite/flags)

# First line of a recipe: std for every target, flags for cargo, wasmtime on the PATH.
define ENV
exports=$$($(SETUP) env)
eval "$$exports"
step() { printf '\n== %s\n' "$$*"; "$$@"; }
endef

help: ## this list
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

setup: ## install what build and measurement need: std for musl and WASI, wasmtime
	@$(SETUP) targets
	$(SETUP) wasmtime

build: ## dist/: ounce (static musl), ounce-minimal, ounce-native (glibc), ounce.wasm (component), ounce-spin.wasm
	@$(ENV)
	cargo build --locked -p ounce --profile dist --target "$$OUNCE_MUSL"
	cargo build --locked -p ounce --profile dist-minimal --target "$$OUNCE_MUSL" --no-default-features --features minimal
	cargo build --locked -p ounce --profile dist
	cargo rustc --locked -p ounce --lib --crate-type cdylib --profile dist --target wasm32-wasip2
	# Elsewhere: in one directory both components have one name, and cargo builds each again after the other.
	cargo rustc --locked -p ounce --lib --crate-type cdylib --profile dist --target wasm32-wasip2 --features spin \
	    --target-dir "$(TARGET_DIR)/spin"
	# An unchanged file keeps its time, so that what depends on it is not built again.
	keep() { cmp -s "$$1" "$$2" || install -D -m 755 "$$1" "$$2"; }
	keep "$(TARGET_DIR)/$$OUNCE_MUSL/dist/ounce" dist/ounce
	keep "$(TARGET_DIR)/$$OUNCE_MUSL/dist-minimal/ounce" dist/ounce-minimal
	keep "$(TARGET_DIR)/dist/ounce" dist/ounce-native
	keep "$(TARGET_DIR)/wasm32-wasip2/dist/ounce.wasm" dist/ounce.wasm
	keep "$(TARGET_DIR)/spin/wasm32-wasip2/dist/ounce.wasm" dist/ounce-spin.wasm
	stat -c '%n %s' dist/ounce dist/ounce-minimal dist/ounce-native dist/ounce.wasm dist/ounce-spin.wasm |
	    awk '{ line = line sprintf("%s%s %.0f KB", NR > 1 ? ", " : "built: ", $$1, $$2 / 1000) } END { print line }'

images: build ## ounce:standard, ounce:microvm, ounce:minimal from dist/ (wants Docker)
	@$(IMAGES)

guest: build ## dist/: kernel and root file system of a microVM (microvm/README.md)
	@$(SETUP) guest

# What is unavailable here (exit code 69) is said, and later again by the scale's rows and the tests.
pack: build ## images and guest, as far as this machine can
	@$(IMAGES) || [[ $$? == 69 ]]
	$(SETUP) guest || [[ $$? == 69 ]]

bench: ## the scale itself: target/release/ounce-bench
	@$(SETUP) env --as-is >/dev/null
	cargo build --release --locked -p ounce-bench

weigh: setup pack bench ## set up, build, measure (flags for the scale: ARGS="...")
	@$(ENV)
	$(BENCH) run --profile quick $(ARGS)

gate: setup build bench ## a benchmark with limits, for CI: fails when one is missed
	@$(ENV)
	$(BENCH) gate $(ARGS)

doctor: bench ## what this machine can and cannot weigh, and why
	@exports=$$($(SETUP) env --as-is)
	eval "$$exports"
	$(BENCH) doctor $(ARGS)

test: ## everything that CI runs, from cheap to dear
	@$(SETUP) lints
	step() { printf '\n== %s\n' "$$*"; "$$@"; }
	step cargo fmt --all --check
	if command -v shellcheck >/dev/null; then step shellcheck $(SETUP) $(IMAGES) microvm/*.sh fuzz/run.sh .ci/run
	else printf '\n== shellcheck: skipped, it is not installed\n'; fi
	step cargo clippy --locked --workspace --all-targets -- -D warnings
	step cargo clippy --locked -p ounce --no-default-features --features minimal --all-targets -- -D warnings
	step cargo clippy --locked -p ounce --features bert --all-targets -- -D warnings
	step $(SETUP) targets
	$(ENV)
	step cargo clippy --locked -p ounce --lib --target wasm32-wasip2 -- -D warnings
	step cargo clippy --locked -p ounce --lib --target wasm32-wasip2 --features spin -- -D warnings
	RUSTDOCFLAGS=-Dwarnings step cargo doc --locked --workspace --no-deps
	step $(SETUP) wasmtime
	step $(SETUP) tracer
	step $(SETUP) browser
	step $(SETUP) redis
	step $(MAKE) --no-print-directory pack
	skipped=$$(mktemp)
	trap 'rm -f "$$skipped"' EXIT
	OUNCE_SKIPPED=$$skipped step cargo test --locked --workspace
	step cargo test --locked -p ounce --features bert --lib --test bert
	printf '\n== %d tests skipped\n' "$$(wc -l <"$$skipped")"
	cat "$$skipped"

# Of what it compares with it installs nothing: a tool that is missing is a skip that says how to get it. On a quiet
# machine alone are its figures worth keeping; OUNCE_HOST_LABEL names the machine in the record of agreement.
test-long: build ## what takes minutes: agreement with other tools (leaves a record), long stalls, peers that are compiled
	@exports=$$($(SETUP) env --as-is)
	eval "$$exports"
	step() { printf '\n== %s\n' "$$*"; "$$@"; }
	skipped=$$(mktemp)
	trap 'rm -f "$$skipped"' EXIT
	export OUNCE_SKIPPED=$$skipped
	step cargo test --release --locked -p ounce-bench --tests --no-fail-fast -- --ignored --test-threads=1 --nocapture
	step cargo test --locked -p ounce --test peers -- --ignored --nocapture
	printf '\n== %d tests skipped\n' "$$(wc -l <"$$skipped")"
	cat "$$skipped"

# Wants Python, QEMU (qemu-user) and Redis.
order: ## src/native/order.ld: where the functions of the static binary are to be, after a change of what is often run
	@$(ENV)
	map() { printf -- '-Clink-arg=-Wl,-Map=%s' "$(abspath $(TARGET_DIR))/$$1.map"; }
	cargo rustc --locked -p ounce --bin ounce --profile dist --target "$$OUNCE_MUSL" -- "$$(map ounce)"
	cargo rustc --locked -p ounce --bin ounce --profile dist-minimal --target "$$OUNCE_MUSL" \
	    --no-default-features --features minimal -- "$$(map minimal)"
	src/native/order.py "$(TARGET_DIR)/$$OUNCE_MUSL/dist/ounce" "$(TARGET_DIR)/ounce.map" \
	    "$(TARGET_DIR)/$$OUNCE_MUSL/dist-minimal/ounce" "$(TARGET_DIR)/minimal.map"

clean: ## remove target/ and dist/ (not the cache)
	@rm -rf -- "$(TARGET_DIR)" dist
	@echo "removed $(TARGET_DIR) and dist; the cache stays in $$($(SETUP) cache)"
