#!/usr/bin/env bash
# Every fuzz target for its share of a minute, from the seeds in fuzz/corpus. Needs the nightly toolchain and
# cargo-fuzz; says so and does nothing where they are not there. MANDATUM_FUZZ_SECONDS is the time of one core that all
# of them take; as many run at once as there are cores.
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

# fuzz TARGET: for its share of the time. New inputs go with the scratch directory; one that breaks the target is kept
# beside the build.
fuzz() {
    mkdir "$scratch/$1"
    if ! "$target_dir/$triple/release/$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=65536 \
        -print_final_stats=1 -artifact_prefix="$target_dir/$1-" "$scratch/$1" "corpus/$1" >"$scratch/$1.log" 2>&1; then
        tail -n 60 "$scratch/$1.log"
        echo "$1 broke; move the file named above into fuzz/corpus/$1, and mend what it broke"
        return 1
    fi
    echo "$1: $(sed -n 's/^stat::number_of_executed_units: *//p' "$scratch/$1.log") runs in $seconds s"
}
export -f fuzz
export scratch target_dir triple seconds
# shellcheck disable=SC2016 # expanded by the inner shell
printf '%s\0' "${targets[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -euo pipefail -c 'fuzz "$1"' fuzz
