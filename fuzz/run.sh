#!/usr/bin/env bash
# Fuzzes each target for some minutes and writes what came of it into RECORD.md.
#   fuzz/run.sh [MINUTES]     needs a nightly toolchain and `cargo install cargo-fuzz`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
minutes=${1:-10}
cargo +nightly fuzz --version >/dev/null || { echo "needs: rustup toolchain install nightly; cargo install cargo-fuzz" >&2; exit 69; }

[[ -f RECORD.md ]] || cat >RECORD.md <<'HEAD'
# What fuzzing found

Written by `fuzz/run.sh`. A finding is a panic, a failed assertion of the target, a leak or an input of over ten seconds (a busy machine can hold one up for a second).

| date | commit | target | seconds | executions | edges covered | findings |
| --- | --- | --- | ---: | ---: | ---: | ---: |
HEAD

commit=$(git describe --always --dirty --exclude '*')
failed=0
for target in text entry; do
    log=$(mktemp)
    mkdir -p "corpus/$target"
    found=0
    cargo +nightly fuzz run "$target" "corpus/$target" seeds/"$target" -- \
        -max_total_time=$((minutes * 60)) -timeout=10 -max_len=20000 -dict=words.dict -print_final_stats=1 \
        >"$log" 2>&1 || found=1
    if ((found)); then failed=1; tail -n 40 "$log"; fi
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    covered=$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1 | cut -d' ' -f2)
    seconds=$(grep -oE 'Done [0-9]+ runs in [0-9]+' "$log" | grep -oE '[0-9]+$' || echo "-")
    echo "| $(date -u +%F) | $commit | $target | $seconds | $executions | $covered | $found |" | tee -a RECORD.md
    rm -f "$log"
done
exit "$failed"
