"""Asks shopkeeper a question by HTTP, and shows the answer when it is there, or while it is made.

    pip install httpx
    python ask.py "Which sleeping bag is for snow?"
    python ask.py --stream --session chat-7 "And how much is it?"
    python ask.py --id ID                        # goes on with a question that was asked before

SHOPKEEPER_URL is the daemon's address, SHOPKEEPER_TOKEN a token where it asks for one. The text goes to stdout, all
else to stderr.
"""

import argparse
import json
import os
import sys
import time
import uuid

import httpx

LIMIT = 120.0  # seconds that an answer is waited for
SETTLED = {"completed", "incomplete", "failed", "cancelled", "expired"}


class Problem(Exception):
    """What the daemon says is wrong (RFC 9457). `code` is for programs, `detail` for people."""

    def __init__(self, response):
        try:
            said = response.json()
        except ValueError:  # not from the daemon: a proxy, say
            said = {}
        self.status = response.status_code
        self.code = said.get("code", "unknown")
        self.detail = said.get("detail", response.text[:200])
        self.retry_after = response.headers.get("Retry-After")
        super().__init__(f"{self.status} {self.code}: {self.detail}")

    def is_passing(self):
        return self.status in (429, 503)

    def wait(self):
        time.sleep(min(float(self.retry_after or 1), 30))


def checked(response):
    if response.is_success:
        return response
    response.read()
    raise Problem(response)


def ask(client, key, question):
    """Hands a question over. Under one key it is one question, however often it is sent: sending it again is safe."""
    for attempt in range(5):
        try:
            return checked(client.post("/v1/answers", json=question, headers={"Idempotency-Key": key})).json()
        except Problem as problem:
            if attempt == 4 or not problem.is_passing():
                raise
            problem.wait()
        except httpx.TransportError:
            if attempt == 4:
                raise
            time.sleep(1)


def wait(client, answer_id):
    """Polls until the answer is settled; each request waits at the daemon, so there are few."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        answer = checked(client.get(f"/v1/answers/{answer_id}", headers={"Prefer": "wait=20"})).json()
        if answer["status"] in SETTLED:
            return answer
    raise TimeoutError(f"no answer in {LIMIT:.0f} s; ask for {answer_id} again later")


def frames(response):
    """The server-sent events of a response: id, name and data of each."""
    # Not by iter_lines(): it takes U+2028 and its like for line ends, and JSON may hold them.
    rest = b""
    for piece in response.iter_bytes():
        *whole, rest = (rest + piece).split(b"\n\n")
        for frame in whole:
            fields = dict(line.partition(": ")[::2] for line in frame.decode().split("\n"))
            if "data" in fields:  # else it is a comment that keeps the connection
                yield fields["id"], fields["event"], json.loads(fields["data"])


def watch(client, answer_id):
    """Yields (event, data) until the answer is settled. A connection that ends is made again, after the last event."""
    last = None
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        headers = {"Last-Event-ID": last} if last else {}
        try:
            with client.stream("GET", f"/v1/answers/{answer_id}/events", headers=headers) as response:
                if checked(response).status_code == 204:  # the last event was seen
                    return
                for last, name, data in frames(response):
                    yield name, data
                    if name.removeprefix("answer.") in SETTLED:
                        return
        except Problem as problem:
            if not problem.is_passing():
                raise
            problem.wait()
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise TimeoutError(f"no answer in {LIMIT:.0f} s; watch {answer_id} again later")


def stream(client, answer_id):
    """Writes the text as it comes, and returns the answer."""
    has_begun = False
    for name, data in watch(client, answer_id):
        if name == "answer.delta":
            print(data["delta"], end="", flush=True)
            has_begun = True
        elif name == "answer.reset":  # what was said until now does not count
            print("\n" if has_begun else "", end="", flush=True)
            has_begun = False
        elif name.removeprefix("answer.") in SETTLED:
            return data
    return wait(client, answer_id)


def main():
    parser = argparse.ArgumentParser(description="Ask shopkeeper a question.")
    parser.add_argument("question", nargs="?")
    parser.add_argument("--id", help="an answer's id, instead of a question")
    parser.add_argument("--stream", action="store_true", help="show the text while it is made")
    parser.add_argument("--session", help="the conversation that it belongs to")
    parser.add_argument("--on-busy", choices=["enqueue", "reject", "supersede"])
    parser.add_argument("--key", help="idempotency key; a new one when left out")
    arguments = parser.parse_args()
    if (arguments.question is None) == (arguments.id is None):
        parser.error("give a question, or --id")

    token = os.environ.get("SHOPKEEPER_TOKEN")
    # Reading may take longer than the daemon's longest wait (25 s) and the silence between keep-alives (15 s).
    with httpx.Client(
        base_url=os.environ.get("SHOPKEEPER_URL", "http://127.0.0.1:8080"),
        headers={"Authorization": f"Bearer {token}"} if token else {},
        timeout=httpx.Timeout(40, connect=5),
    ) as client:
        answer_id = arguments.id
        if not answer_id:
            given = {"session_id": arguments.session, "on_busy": arguments.on_busy}
            question = {"question": arguments.question} | {name: value for name, value in given.items() if value}
            answer_id = ask(client, arguments.key or str(uuid.uuid4()), question)["id"]
        print(f"answer {answer_id}", file=sys.stderr)
        answer = stream(client, answer_id) if arguments.stream else wait(client, answer_id)

    said = answer["answer"]
    print("" if arguments.stream else said["text"] if said else "")
    for source in answer["sources"]:
        if source["cited"]:
            print(f"[{source['n']}] {source['title']} {source['url'] or ''}", file=sys.stderr)
    if answer["escalation"]:
        print(f"a human is asked for: {answer['escalation']['reason']}", file=sys.stderr)
    if not said:
        sys.exit(f"there is no answer: {answer['status']} {answer['outcome'] or ''} {answer['error'] or ''}")


if __name__ == "__main__":
    try:
        main()
    except (Problem, TimeoutError, httpx.TransportError) as error:
        sys.exit(f"ask.py: {error}")
