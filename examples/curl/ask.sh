#!/bin/sh
# Asks shopkeeper by HTTP with nothing but sh and curl: what each request of docs/answers.md looks like.
#
#   sh ask.sh ask 'Which sleeping bag is for snow?' [KEY [SESSION]]     prints the answer object, with its id
#   sh ask.sh wait ID                                  until it is settled, 20 seconds at most; then again
#   sh ask.sh read ID                                  as it is now
#   sh ask.sh watch ID [LAST_EVENT_ID]                 the events while it is made, after the last one seen
#   sh ask.sh rate ID up|down [COMMENT]
#   sh ask.sh cancel ID
#
# SHOPKEEPER_URL is the daemon's address, SHOPKEEPER_TOKEN a token where it asks for one. What goes wrong is printed as
# a problem (RFC 9457); its `code` says what it is, and the exit code is not 0.
set -eu

url=${SHOPKEEPER_URL:-http://127.0.0.1:8080}/v1/answers

# The token is not among the arguments that other users of the machine can list: curl wipes this one.
call() {
    curl --silent --show-error --fail-with-body --write-out '\n' --connect-timeout 5 --max-time 40 \
        ${SHOPKEEPER_TOKEN:+--oauth2-bearer "$SHOPKEEPER_TOKEN"} "$@"
}

post() {
    call --header 'Content-Type: application/json' --data-binary "$@"
}

# A text as a JSON string. Control characters become spaces.
json() {
    printf '%s' "$1" | tr '\000-\037' ' ' | sed 's/\\/\\\\/g; s/"/\\"/g; s/^/"/; s/$/"/'
}

verb=${1:-help}
[ $# -lt 2 ] || id=$2
case $verb in
ask)
    # With a key, asking again is safe: the same body under the same key is the same question. So curl may retry.
    key=${3:-$(date +%s)-$$}
    body="{\"question\": $(json "${2:?a question}")${4:+, \"session_id\": $(json "$4")}}"
    post "$body" --header "Idempotency-Key: $key" --retry 3 --retry-connrefused "$url"
    ;;
wait) call --header 'Prefer: wait=20' "$url/${id:?an id}" ;;
read) call "$url/${id:?an id}" ;;
watch) call --no-buffer --max-time 300 ${3:+--header "Last-Event-ID: $3"} "$url/${id:?an id}/events" ;;
rate) post "{\"rating\": $(json "${3:?up or down}")${4:+, \"comment\": $(json "$4")}}" "$url/${id:?an id}/feedback" ;;
cancel) call --request POST "$url/${id:?an id}/cancel" ;;
*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
