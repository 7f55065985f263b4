#!/usr/bin/env bash
# The same work beside other tools, in one run: benches/peers.sh [ROUNDS]. Prints a Markdown table for
# docs/performance.md. Everything is made in a directory that goes at the end; a tool that is not in PATH has no row.
#
# Each of them with its defaults, but where a row says otherwise; what is compared runs in turns, so that the machine's
# other work falls on all of them. One login is fetched from vaults of 10, 1 000 and 10 000 entries. Needs python3 to
# measure and oathtool for second factors; PROGRAM names another build of mandatum.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
umask 077

readonly ROUNDS=${1:-9} SIZES=(10 1000 10000) PER_MANDATE=100
if [ -z "${PROGRAM:-}" ]; then
    cargo build --release --locked --quiet
    PROGRAM=${CARGO_TARGET_DIR:-$PWD/target}/release/mandatum
fi
PEERS=$(mktemp -d)
export PEERS PROGRAM GNUPGHOME="$PEERS/gpg"
items=() # label, tool, TAB, command; run in turns
stop() {
    gpgconf --kill gpg-agent 2>/dev/null || true
    [ -z "${bao_pid:-}" ] || kill "$bao_pid" 2>/dev/null || true
    rm -rf "$PEERS"
}
trap stop EXIT

has() { command -v "$1" >/dev/null 2>&1; }
# item WORK TOOL COMMAND…: a thing to measure. "{}" in the command is the number of the round.
item() { items+=("$(printf '%s\t' "$@")"); }

# ---- mandatum: a vault of N credentials, 100 to a mandate; a session is open ----

# mandatum N ARGUMENTS…
vault() {
    local dir=$PEERS/m$1
    shift
    MANDATUM_PASSPHRASE_FILE=$PEERS/pw "$PROGRAM" --vault "$dir/vault" --state "$dir/state" --member Olga \
        --otp-command "$PEERS/code $dir/otp-Olga" --yes "$@"
}

build_vault() {
    local size=$1 dir=$PEERS/m$1 mandates=$((($1 + PER_MANDATE - 1) / PER_MANDATE)) until
    mkdir -p "$dir"
    until=$(date -d '+200 days' +%F)
    vault "$size" init --owner Olga --epoch-key "file:$dir/epoch-key" --kit "$dir/kit" \
        --kit-passphrase-file "$PEERS/kit-pw" --otpauth-out "$dir/otp-Olga"
    vault "$size" unlock
    vault "$size" member role Olga --add lead
    printf 'system;category;platform;data;levels;purposes\nCRM;CRM;amoCRM;contacts;view;leads\n' >"$dir/rows.csv"
    for ((m = 0; m < mandates; m++)); do
        vault "$size" mandate open "Op$m" --contract "$m" --signed "$(date +%F)" --until "$until" --rows "$dir/rows.csv"
    done
    python3 - "$size" "$PER_MANDATE" >"$dir/import.jsonl" <<'PY'
import json, secrets, sys
size, per = int(sys.argv[1]), int(sys.argv[2])
for number in range(size):
    line = {"operator": f"Op{number // per}", "system": "CRM", "name": f"n{number % per}",
            "user": "login", "secret": secrets.token_urlsafe(24)}
    line |= {"totp": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"} if number % per == 0 else {"no_totp": "nobody needs it"}
    print(json.dumps(line))
PY
    vault "$size" credential import "$dir/import.jsonl"
    [ "$size" != 1000 ] || for person in P1 P2 P3; do
        vault "$size" member add "$person" --role specialist --new-passphrase-file "$PEERS/pw" \
            --otpauth-out "$dir/otp-$person" --new-otp-command "$PEERS/code $dir/otp-$person"
        for ((m = 0; m < mandates; m++)); do vault "$size" grant "$person" "Op$m/CRM" --level view; done
    done
}

measure_vault() {
    local size=$1 dir=$PEERS/m$1 last=$((($1 + PER_MANDATE - 1) / PER_MANDATE - 1))
    local call=("$PROGRAM" --vault "$dir/vault" --state "$dir/state" --member Olga --yes)
    item "fetch one of $size" mandatum "${call[@]}" fetch "Op$last/CRM/n7" --field password --purpose leads
    item "one code of $size" mandatum "${call[@]}" code "Op$last/CRM/n0" --purpose leads
    item "list $size" mandatum "${call[@]}" credential list
    item "add to $size" mandatum "${call[@]}" credential add "Op0/CRM/new{}" --user login --generate --totp-unknown
    [ "$size" != 1000 ] || item "revoke one person from 1000" mandatum "${call[@]}" revoke "P{}" --all
}

prepare_mandatum() {
    echo 'correct horse battery staple orbit' >"$PEERS/pw"
    echo 'kit zebra umbrella quantum teapot' >"$PEERS/kit-pw"
    # shellcheck disable=SC2016 # expanded when it runs
    printf '#!/bin/sh\nexec oathtool --totp -b "$(sed "s/.*secret=\\([A-Z2-7]*\\).*/\\1/" "$1")"\n' >"$PEERS/code"
    chmod 700 "$PEERS/code"
    local pids=() size
    # Side by side: most of it is waiting for the next second-factor code.
    for size in "${SIZES[@]}"; do
        build_vault "$size" >"$PEERS/m$size.log" 2>&1 &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || { tail -n 3 "$PEERS"/m*.log && return 1; }; done
    for size in "${SIZES[@]}"; do measure_vault "$size"; done
}

# ---- age: one file, one X25519 key ----

prepare_age() {
    local tool
    for tool in age rage; do
        has "$tool" || continue
        "$tool-keygen" -o "$PEERS/$tool.key" 2>/dev/null
        echo password | "$tool" -r "$("$tool-keygen" -y "$PEERS/$tool.key" 2>/dev/null)" -o "$PEERS/one.$tool"
        for size in "${SIZES[@]}"; do item "fetch one of $size" "$tool (one file)" "$tool" -d -i "$PEERS/$tool.key" "$PEERS/one.$tool"; done
    done
}

# ---- pass and prs: one file an entry under a GnuPG key, with a passphrase (which an agent keeps) and without one ----

prepare_pass() {
    has pass && has gpg || return 0
    mkdir -p "$GNUPGHOME"
    echo allow-loopback-pinentry >"$GNUPGHOME/gpg-agent.conf"
    gpg -q --batch --pinentry-mode loopback --passphrase '' --quick-gen-key plain@peers default default never 2>/dev/null
    gpg -q --batch --pinentry-mode loopback --passphrase secret --quick-gen-key kept@peers default default never 2>/dev/null
    gpg -q --batch --pinentry-mode loopback --passphrase '' --quick-gen-key left@peers default default never 2>/dev/null
    local size key store
    for key in plain kept; do
        for size in 1000 10000; do
            store=$PEERS/pass-$key-$size
            PASSWORD_STORE_DIR=$store pass init "$key@peers" >/dev/null
            # Each file is the same: what is measured reads one of them.
            printf 'password\notpauth://totp/a:b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n' |
                gpg -q --batch -e -r "$key@peers" -o "$store/e0.gpg"
            for ((n = 1; n < size; n++)); do cp "$store/e0.gpg" "$store/e$n.gpg"; done
            local tool="pass, key with a passphrase"
            [ $key = kept ] || tool="pass, key without one"
            item "fetch one of $size" "$tool" env "PASSWORD_STORE_DIR=$store" pass show "e7"
            item "list $size" "$tool" env "PASSWORD_STORE_DIR=$store" pass ls
            item "add to $size" "$tool" env "PASSWORD_STORE_DIR=$store" pass generate -f "new{}" 24
            if has prs; then
                item "fetch one of $size" "prs${tool#pass}" env "PASSWORD_STORE_DIR=$store" prs show -q e7
                item "list $size" "prs${tool#pass}" env "PASSWORD_STORE_DIR=$store" prs list -q
            fi
        done
    done
    # The agent is given the passphrase once, as it is when somebody works.
    gpg -q --batch --pinentry-mode loopback --passphrase secret -d "$PEERS/pass-kept-1000/e0.gpg" >/dev/null
    # Somebody leaves: every entry is encrypted anew to those who stay.
    cp -r "$PEERS/pass-plain-1000" "$PEERS/pass-shared"
    PASSWORD_STORE_DIR=$PEERS/pass-shared pass init plain@peers left@peers >/dev/null
    item "revoke one person from 1000" "pass, key without one" \
        once env "PASSWORD_STORE_DIR=$PEERS/pass-shared" pass init plain@peers
}

# ---- KeePassXC: one file for all, one round of its key derivation ----

prepare_keepassxc() {
    has keepassxc-cli || return 0
    local size base
    for size in 1000 10000; do
        base=$PEERS/kp$size
        python3 - "$size" >"$base.xml" <<'PY'
import base64, os, sys
print('<?xml version="1.0" encoding="UTF-8"?><KeePassFile><Meta/><Root><Group><UUID>%s</UUID><Name>Root</Name>'
      % base64.b64encode(os.urandom(16)).decode())
for number in range(int(sys.argv[1])):
    fields = {"Title": f"e{number}", "UserName": "login", "Password": base64.b64encode(os.urandom(18)).decode()}
    strings = "".join(f"<String><Key>{k}</Key><Value>{v}</Value></String>" for k, v in fields.items())
    print(f"<Entry><UUID>{base64.b64encode(os.urandom(16)).decode()}</UUID>{strings}</Entry>")
print("</Group></Root></KeePassFile>")
PY
        printf 'pw\npw\n' | keepassxc-cli import -q -p -t 100 "$base.xml" "$base.kdbx" >/dev/null
        item "fetch one of $size" "keepassxc-cli, shortest KDF" sh -c "echo pw | keepassxc-cli show -q -s -a Password $base.kdbx e7"
        item "list $size" "keepassxc-cli, shortest KDF" sh -c "echo pw | keepassxc-cli ls -q $base.kdbx"
        item "add to $size" "keepassxc-cli, shortest KDF" sh -c "echo pw | keepassxc-cli add -q -g $base.kdbx new{}"
    done
}

# ---- OpenBao: a server of this machine with a file audit ----

prepare_openbao() {
    has bao || return 0
    mkdir -p "$PEERS/bao"
    cat >"$PEERS/bao.hcl" <<HCL
storage "raft" {
  path = "$PEERS/bao"
  node_id = "one"
}
api_addr = "http://127.0.0.1:28199"
cluster_addr = "http://127.0.0.1:28198"
listener "tcp" {
  address = "127.0.0.1:28199"
  tls_disable = true
}
audit "file" "log" {
  options = { file_path = "$PEERS/bao-audit.log" }
}
HCL
    bao server -config="$PEERS/bao.hcl" >"$PEERS/bao.log" 2>&1 &
    bao_pid=$!
    export BAO_ADDR=http://127.0.0.1:28199
    local tries=0
    until bao operator init -key-shares=1 -key-threshold=1 -format=json >"$PEERS/bao.init" 2>/dev/null; do
        [ $((tries += 1)) -lt 50 ] || return 0
        sleep 0.2
    done
    read -r key BAO_TOKEN < <(python3 -c 'import json,os; i=json.load(open(os.environ["PEERS"]+"/bao.init"))
print(i["unseal_keys_b64"][0], i["root_token"])')
    export BAO_TOKEN
    bao operator unseal "$key" >/dev/null
    until bao secrets enable -version=1 -path=secret kv >/dev/null 2>&1; do
        [ $((tries += 1)) -lt 100 ] || return 0
        sleep 0.2
    done
    python3 - <<'PY'
import json, os, urllib.request
for number in range(1000):
    request = urllib.request.Request(f"{os.environ['BAO_ADDR']}/v1/secret/e{number}", method="POST",
        data=json.dumps({"login": "login", "password": "secret"}).encode(),
        headers={"X-Vault-Token": os.environ["BAO_TOKEN"]})
    urllib.request.urlopen(request).read()
PY
    item "fetch one of 1000" "bao kv get" bao kv get -field=password secret/e7
    item "list 1000" "bao kv list" bao kv list secret
    item "add to 1000" "bao kv put" bao kv put "secret/new{}" password=secret
}

echo "Preparing …" >&2
prepare_age
prepare_pass
prepare_keepassxc
prepare_openbao
prepare_mandatum
printf '%s\n' "${items[@]}" | python3 benches/peers.py "$ROUNDS"
