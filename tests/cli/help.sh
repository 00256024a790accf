#!/usr/bin/env bash
# help.sh - every command explains itself, in text, man page and Markdown; what is mistyped
# is named; output that cannot be written is a failure.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

# Commands, or "command verb", as `reprise help` lists them.
commands() {
    "$REPRISE" help | sed -n '/^Commands:$/,/^$/s/^  \([a-z-]\+\( [a-z-]\+\)\?\)  .*/\1/p'
}
# The values of enum exit_status: each of them must be documented everywhere.
statuses=$(sed -n '/^enum exit_status/,/^}/s/^ *EXIT_[A-Z]* = \([0-9]*\),.*/\1/p' \
    "$root/traces/base/err.h")
[ "$(wc -w <<<"$statuses")" -eq 9 ] || fail "err.h has other exit statuses than expected: $statuses"

check_text() { # in $tmp/out
    head -n 1 "$tmp/out" | grep -q "^Usage: reprise $1" || fail "no usage line of '$1'"
    local status
    for status in $statuses; do
        grep -qE "^ +$status  [a-z]" "$tmp/out" || fail "help of '$1' lacks exit status $status"
    done
    sed -n '/^Examples:$/,$p' "$tmp/out" | grep -q '^  reprise [a-z]' ||
        fail "help of '$1' has no example to copy"
    # Examples stay on one line, for copying; all else fits a terminal.
    sed '/^Examples:$/,$d' "$tmp/out" | grep -nE '^.{81,}' && fail "help of '$1' is too wide"
    grep -nE '[[:blank:]]$' "$tmp/out" && fail "help of '$1' has blanks at line ends"
    [ ! -s "$tmp/err" ] || fail "help of '$1' writes to stderr"
}

expect 0 "$REPRISE" help && check_text ''
cp "$tmp/out" "$tmp/program"
expect 0 "$REPRISE" --help && cmp "$tmp/out" "$tmp/program"
expect 0 "$REPRISE" -h && cmp "$tmp/out" "$tmp/program"
[ -n "$(commands)" ] || fail "no commands are listed"

while read -r name; do
    # shellcheck disable=SC2086  # "command verb" is two words
    expect 0 "$REPRISE" $name --help && check_text "$name"
    cp "$tmp/out" "$tmp/page"
    # shellcheck disable=SC2086
    expect 0 "$REPRISE" help $name
    cmp "$tmp/out" "$tmp/page" || fail "'help $name' differs from '$name --help'"
    # shellcheck disable=SC2086
    expect 64 "$REPRISE" $name --no-such-option
    err_has "reprise $name: unknown option '--no-such-option'"
    err_has "Try 'reprise $name --help'."
    [ ! -s "$tmp/out" ] || fail "'$name --no-such-option' writes to stdout"
done < <(commands)

# Commands with verbs list them.
for name in $(commands | sed -n 's/^\([a-z-]*\) .*/\1/p' | sort -u); do
    expect 0 "$REPRISE" "$name" --help && check_text "$name"
    expect 64 "$REPRISE" "$name"
    head -n 1 "$tmp/err" | grep -q "^Usage: reprise $name VERB" || fail "'$name' alone shows no usage"
    expect 64 "$REPRISE" "$name" no-such-verb
    err_has "reprise $name: unknown verb 'no-such-verb'"
    expect 64 "$REPRISE" help "$name" no-such-verb
done

# Man pages: one for the program, each command, each verb.
mkdir "$tmp/man"
expect 0 "$REPRISE" help --man-pages "$tmp/man"
[ -f "$tmp/man/reprise.1" ] || fail "no reprise.1"
while read -r name; do
    [ -f "$tmp/man/reprise-${name/ /-}.1" ] || fail "no man page of '$name'"
done < <(commands)
for page in "$tmp"/man/*.1; do
    last=0
    for section in NAME SYNOPSIS DESCRIPTION OPTIONS ENVIRONMENT 'EXIT STATUS' EXAMPLES 'SEE ALSO'; do
        line=$(grep -nx "\.SH $section" "$page" | cut -d: -f1)
        [ "${line:-0}" -gt "$last" ] || fail "$(basename "$page"): section $section is missing or misplaced"
        last=${line:-0}
    done
    for status in $statuses; do
        grep -qx "$status" "$page" || fail "$(basename "$page") lacks exit status $status"
    done
done
# Each page that another one names must be there.
sed -n 's/^\.BR \(reprise[^ ]*\) (1),*$/\1/p' "$tmp"/man/*.1 | sed 's/\\-/-/g' | sort -u |
    while read -r name; do [ -f "$tmp/man/$name.1" ] || echo "$name"; done >"$tmp/missing"
[ ! -s "$tmp/missing" ] || fail "SEE ALSO names pages that do not exist: $(cat "$tmp/missing")"
if command -v mandoc >/dev/null; then
    mandoc -T lint -W warning "$tmp"/man/*.1 || fail "mandoc has warnings"
fi
SOURCE_DATE_EPOCH=0 expect 0 "$REPRISE" help --man-pages "$tmp/man"
grep -q '1970-01-01' "$tmp/man/reprise.1" || fail "SOURCE_DATE_EPOCH does not date the pages"
expect 74 "$REPRISE" help --man-pages "$tmp/nowhere"
err_has "cannot write '$tmp/nowhere/reprise.1': No such file or directory"

expect 0 "$REPRISE" help --markdown
out_has '# reprise'
while read -r name; do out_has "## reprise $name"; done < <(commands)
for status in $statuses; do
    grep -q "^| $status | " "$tmp/out" || fail "the reference lacks exit status $status"
done

expect 0 "$REPRISE" --version
version=$(sed -n 's/^VERSION := //p' "$root/GNUmakefile")
same "$(head -n 1 "$tmp/out")" "reprise $version"
for library in libzstd libxxhash jansson zlib; do
    grep -qE "$library [0-9]+\.[0-9]" "$tmp/out" || fail "--version does not tell that of $library"
done
expect 0 "$REPRISE" -V
same "$(head -n 1 "$tmp/out")" "reprise $version"

# Mistakes.
expect 64 "$REPRISE"
head -n 1 "$tmp/err" | grep -q '^Usage: reprise COMMAND' || fail "no usage on stderr"
[ ! -s "$tmp/out" ] || fail "usage on stdout, though nobody asked for it"
expect 64 "$REPRISE" hlep
same "$(head -n 1 "$tmp/err")" "reprise: unknown command 'hlep'; did you mean 'help'?"
expect 64 "$REPRISE" kubernetes
same "$(head -n 1 "$tmp/err")" "reprise: unknown command 'kubernetes'"
expect 64 "$REPRISE" --verison
err_has "reprise: unknown command '--verison'"
expect 64 "$REPRISE" help no-such-command
err_has "unknown command 'no-such-command'"
expect 64 "$REPRISE" help --markdown --man-pages "$tmp/man"
err_has "exclude each other"
expect 64 "$REPRISE" help help verb
err_has "reprise help: 'help' has no verbs"
expect 64 "$REPRISE" help a b c
err_has "unexpected operand 'c'"

# A full disk, and nobody there.
if [ -w /dev/full ]; then
    "$REPRISE" help >/dev/full 2>"$tmp/err"
    same $? 74 "help onto a full disk"
    err_has "reprise: cannot write to standard output: No space left on device"
    "$REPRISE" --version >/dev/full 2>"$tmp/err"
    same $? 74 "version onto a full disk"
fi
"$REPRISE" help >&- 2>"$tmp/err"
same $? 74 "help with standard output closed"
finish
