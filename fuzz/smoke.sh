#!/usr/bin/env bash
# Every fuzz target for its share of a minute, from the seeds in fuzz/corpus. Needs the nightly toolchain and
# cargo-fuzz; says so and does nothing where they are not there. MANDATUM_FUZZ_SECONDS is how long all of them take.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

target_dir="${CARGO_TARGET_DIR:-$PWD/../target}/fuzz"
triple="$(rustc -vV | sed -n 's/^host: //p')"
mapfile -t targets < <(basename -s .rs fuzz_targets/*.rs)
seconds=$((${MANDATUM_FUZZ_SECONDS:-60} / ${#targets[@]}))

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "SKIPPED: there is no nightly toolchain; no parser was fuzzed"
    exit 0
fi
if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    echo "SKIPPED: there is no cargo-fuzz; no parser was fuzzed"
    exit 0
fi

cp ../Cargo.lock . # the versions the package is built with
# Without a sanitizer: our code is safe Rust, and instrumenting every crate for it takes long.
CARGO_TARGET_DIR="$target_dir" cargo +nightly fuzz build --fuzz-dir . --target "$triple" --sanitizer none \
    --codegen-units 16
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for target in "${targets[@]}"; do
    mkdir "$scratch/$target"
    # New inputs go with the scratch directory; one that breaks a target is kept beside the build.
    if ! "$target_dir/$triple/release/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
        -max_len=65536 -print_final_stats=1 -artifact_prefix="$target_dir/$target-" "$scratch/$target" "corpus/$target" \
        >"$scratch/log" 2>&1; then
        tail -n 60 "$scratch/log"
        echo "$target broke; move the file named above into fuzz/corpus/$target, and mend what it broke"
        exit 1
    fi
    echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$scratch/log") runs in $seconds s"
done
