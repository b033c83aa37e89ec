#!/bin/sh
# Holds a running daemon to its own OpenAPI document: generated requests, right and wrong ones, get no 5xx, and each
# response is as the document says. Once with made-up ids, once with ids that exist.
#
#   pip install -r requirements.txt
#   sh schema.sh http://127.0.0.1:8080 [another option of schemathesis …]
#
# SHOPKEEPER_TOKEN is a token with all scopes where the daemon asks for one. It asks, erases, syncs and hands sessions
# over: give it a daemon whose data nobody needs, that of `shopkeeper demo`. No operation is left out: of answers that
# are settled the events end, and of made-up ids there are none. Bounded by the number of examples and by time.
set -eu

base=${1:?usage: schema.sh BASE_URL}
base=${base%/}
shift
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT INT TERM
# Nothing may come between us and loopback.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY

call() {
    curl --silent --show-error --fail --max-time 40 ${SHOPKEEPER_TOKEN:+--oauth2-bearer "$SHOPKEEPER_TOKEN"} \
        --header 'Content-Type: application/json' "$@"
}

# Asks a question that nothing answers, so that a human is asked for, and prints its id.
settled() {
    call --header 'Prefer: wait=20' "$base/v1/answers" \
        --data "{\"question\": \"Who won the game last night?\", \"session_id\": \"$1\"}" |
        sed 's/^{"id":"\([^"]*\)".*/\1/'
}

answer=$(settled "schema-$$")
settled "schema-$$-ack" >"$here/ack"
escalation=$(call "$base/v1/answers/$(cat "$here/ack")" | sed -n 's/.*"escalation":{"id":"\([^"]*\)".*/\1/p')
delivery=$(call "$base/v1/webhooks/deliveries" | sed -n 's/^{"object":"list","data":\[{"id":"\([^"]*\)".*/\1/p')
source=$(call --request POST "$base/v1/sync" | sed -n 's/^{"sources":\["\([^"]*\)".*/\1/p')

# What is known of the operations whose name ("METHOD /path") matches.
known() {
    printf '[[operations]]\ninclude-name-regex = "%s"\nparameters = { %s }\n\n' "$1" "$2"
}
{
    known '/v1/answers/.*' "\"path.id\" = \"$answer\""
    known '(GET|PUT|POST) /v1/sessions/.*' "\"path.id\" = \"schema-$$\""
    # Or it takes an id that it saw, and the others find nothing.
    known 'DELETE /v1/sessions/.*' '"path.id" = "schema-nobody"'
    known '/v1/escalations/.*' "\"path.id\" = \"${escalation:?nobody was asked for}\""
    known '/v1/documents/.*' "\"path.source\" = \"${source:?there is no source}\""
    # Without a webhook in the settings there is none.
    [ -z "$delivery" ] || known '/v1/webhooks/deliveries/.*' "\"path.id\" = \"$delivery\""
} >"$here/known.toml"
: >"$here/unknown.toml"

status=0
cd "$here"
for ids in unknown known; do
    echo "== $ids ids"
    timeout 300 schemathesis --config-file "$here/$ids.toml" run "$base/openapi.json" \
        --checks "$checks" --phases examples,coverage,fuzzing --max-examples 25 --request-timeout 30 \
        --generation-deterministic --continue-on-failure --no-color \
        ${SHOPKEEPER_TOKEN:+--header "Authorization: Bearer $SHOPKEEPER_TOKEN"} "$@" || status=1
done
exit $status
