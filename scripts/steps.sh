# shellcheck shell=bash
# Sourced by scripts/test and scripts/lint: named steps, each timed, bounded and kept in a log. A step that
# fails does not stop the others; `summary` lists all and fails if one did.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

steps_begin() {
    logs=$target/steps/$1
    totals=$logs/totals
    rows=() passed=0 failed=0
    rm -rf "$logs"
    mkdir -p "$logs"
}

# step NAME SECONDS COMMAND…
step() { _step "" "$@"; }

# The same for `cargo test`: its tests are counted, and having run none is a failure.
tests() { _step counted "$@"; }

# What could not be checked here, and why. It stands in the summary and fails nothing.
unchecked() { rows+=("$(printf '%-12s %-24s    -    %s' 'not checked' "$1" "$2")"); }

_step() {
    local counted=$1 name=$2 limit=$3 log begin=$SECONDS status=0 ok=0 bad=0 ignored=0 note=
    shift 3
    log=$logs/${name// /-}.log
    say "$name: $*"
    bounded "$limit" "$@" </dev/null 2>&1 | tee "$log" || status=$?
    if [ -n "$counted" ]; then
        ok=$(sum passed "$log") bad=$(sum failed "$log") ignored=$(sum ignored "$log")
        note="$ok tests"
        [ "$ignored" = 0 ] || note+=", $ignored ignored"
        [ $status != 0 ] || [ "$ok" -gt 0 ] || { status=1 note="ran no test"; }
    elif [ $status = 0 ]; then
        ok=1
    fi
    if [ $status != 0 ]; then
        [ "$bad" -gt 0 ] || bad=1
        [ $status != 124 ] && [ $status != 137 ] || note="stopped after $limit s"
        note+="${note:+, }see $log"
    fi
    passed=$((passed + ok)) failed=$((failed + bad))
    rows+=("$(printf '%-12s %-24s %4d s  %s' "$([ $status = 0 ] && echo ok || echo FAILED)" "$name" $((SECONDS - begin)) "$note")")
}

# Of lines like `test result: ok. 12 passed; 0 failed; 1 ignored; …`.
sum() { awk -v word="$1;" '/^test result:/ { for (i = 2; i <= NF; i++) if ($i == word) n += $(i - 1) } END { print n + 0 }' "$2"; }

summary() {
    printf '\n'
    printf '%s\n' "${rows[@]}"
    printf '%s s in all: %s passed, %s failed\n' $SECONDS "$passed" "$failed"
    echo "$passed $failed" >"$totals"
    [ "$failed" = 0 ]
}
