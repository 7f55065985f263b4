#!/usr/bin/env bash
# Mutation testing of policy, ledger, anchor and crypto: tests/mutants/run.sh ROOM [ARGUMENTS for cargo mutants…].
#
# The room is a package of its own here, over one of the rooms below it, so that a mutant is built and tried in
# seconds: with the unit tests of the room, and with what the suite says of it and of nothing above it. Needs
# cargo-mutants and cargo-nextest. MANDATUM_MUTANTS_DIR is where packages and results are made (target/mutants).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

room=${1:?which room: policy, ledger, anchor or crypto}
shift
dir=${MANDATUM_MUTANTS_DIR:-$PWD/target/mutants}/$room
case $room in
    policy) below=(model) suite=(rules) ;;
    ledger) below=(model crypto) suite=(skip verifier) ;;
    anchor) below=(model crypto) suite=(machine anchor) ;;
    crypto) below=(model) suite=() ;;
    *) echo "no such room here: $room" >&2 && exit 2 ;;
esac

rm -rf "$dir"/{src,tests,tools,below/src}
mkdir -p "$dir"/{src,tests,below/src}
cp -r "src/$room" "$dir/src/"
cp -r tests/machine tests/suite tests/vectors "$dir/tests/"
cp -r tools Cargo.lock "$dir/"
for other in "${below[@]}"; do
    cp -r "src/$other" "$dir/below/src/"
    echo "pub mod $other;" >>"$dir/below/src/lib.rs"
    echo "pub use below::$other;" >>"$dir/src/lib.rs"
done
echo "pub mod $room;" >>"$dir/src/lib.rs"
for tests in "${suite[@]}"; do
    path=suite/$tests.rs
    [ "$tests" != machine ] || path=machine/mod.rs
    # The suite's module has the name of the room here and there.
    name=$tests
    [ "$tests" != "$room" ] || name=suite
    printf '#[cfg(test)]\n#[allow(dead_code)] // the simulator uses more of the machine\n#[path = "../tests/%s"]\nmod %s;\n' "$path" "$name" >>"$dir/src/lib.rs"
done
# What the suite calls by the program's name is here.
printf '#[cfg(test)]\nextern crate self as mandatum;\n' >>"$dir/src/lib.rs"

# The schemas of the API need those of the rooms below, which are not under test there.
find "$dir/src" -name '*.rs' -exec sed -i 's/#\[cfg_attr(test, derive(schemars::JsonSchema))\]//' {} +

# The same dependencies, without the program and its benchmarks, and nothing for a debugger.
package() {
    sed -e "s/^name = \"mandatum\"/name = \"$1\"/" -e 's/^default-run.*/autotests = false/' \
        -e '/^\[lib\]/,/^$/d' -e '/^\[\[bin\]\]/,/^$/d' -e '/^\[\[bench\]\]/,/^$/d' -e '/^\[profile/,$d' Cargo.toml
}
package "$room-below" >"$dir/below/Cargo.toml"
{
    package "$room" | sed "s/^\[dependencies\]/&\nbelow = { package = \"$room-below\", path = \"below\" }/"
    sed -n '/^\[profile\.dev\.package\]/,/^$/p' Cargo.toml
    printf '[profile.dev]\ndebug = false\n\n[workspace]\n'
} >"$dir/Cargo.toml"

cd "$dir"
export CARGO_TARGET_DIR="$dir/../target" CARGO_TARGET_TMPDIR="$dir" MANDATUM_VERIFIER_LEDGERS="${MANDATUM_VERIFIER_LEDGERS:-40}"
exec cargo mutants --in-place --no-shuffle --test-tool nextest --file "src/$room/**" "$@"
