"""Runs each example as its users would, against a running daemon, and checks the results.

    pip install -r requirements.txt
    python check.py http://127.0.0.1:8080 --database "$(cat …/database.url)"

The database is the daemon's, as the owner of the schema `shopkeeper`; the shop is that of `shopkeeper demo`, unless
--question and --expect name another question. More is checked with:

- --webhook-port and --webhook-secret: the daemon delivers to http://127.0.0.1:PORT/hook with this secret, and the
  webhook has `allow_private_addresses = true`. Nothing else listens there.
- --models: the address of the offline model server (`openai.base_url`), to have it answer slowly.
- the environment's SHOPKEEPER, the binary: Django then has a role with the grants that it prints, and no others.

Answering is paused for a moment, so do not run it beside something that waits for answers.
"""

import argparse
import contextlib
import http.client
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from standardwebhooks.webhooks import Webhook

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NOBODY = "00000000-0000-0000-0000-000000000000"
LIMIT = 60


class Skip(Exception):
    """Cannot be checked here."""


def need(condition, what):
    if not condition:
        raise AssertionError(what)


def until(look, what, limit=LIMIT):
    """Waits until `look` returns something, and returns it."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {limit} s: {what}")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def tool(name):
    if not (path := shutil.which(name)):
        raise Skip(f"{name} is not installed")
    return path


class Shop:
    """The daemon, and how to reach it."""

    def __init__(self, arguments):
        self.url = arguments.base_url.rstrip("/")
        self.token = arguments.token
        self.database = arguments.database
        self.question = arguments.question
        self.expect = arguments.expect
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        self.client = httpx.Client(base_url=self.url, headers=headers, timeout=40)

    def environment(self, url=None):
        """An example's environment, without what could change what it does."""
        changing = re.compile(r"(?i).*_proxy|PYTHONUNBUFFERED|SHOPKEEPER_.*|DJANGO_.*")
        kept = {name: value for name, value in os.environ.items() if not changing.fullmatch(name)}
        token = {"SHOPKEEPER_TOKEN": self.token} if self.token else {}
        return kept | {"SHOPKEEPER_URL": url or self.url, "PYTHONDONTWRITEBYTECODE": "1"} | token

    def run(self, command, url=None):
        return subprocess.run(command, env=self.environment(url), capture_output=True, text=True, timeout=LIMIT)

    def done(self, command, url=None):
        run = self.run(command, url)
        need(run.returncode == 0, f"exit code {run.returncode}: {run.stderr[-500:]}{run.stdout[-500:]}")
        return run

    def json(self, command):
        return json.loads(self.done(command).stdout)

    def refused(self, command, code):
        """Runs what must fail and print a problem with this code."""
        run = self.run(command)
        shown = run.stdout + run.stderr
        need(run.returncode != 0 and code in shown, f"no {code}: exit code {run.returncode}, {shown[-500:]}")

    def ask(self, **question):
        response = self.client.post("/v1/answers", json={"question": self.question} | question)
        need(response.status_code in (200, 202), f"{response.status_code}: {response.text}")
        return response.json()["id"]

    def answer(self, answer_id):
        return self.client.get(f"/v1/answers/{answer_id}", headers={"Prefer": "wait=20"}).json()

    def text(self, answer_id):
        answer = self.answer(answer_id)
        need(answer["status"] == "completed", f"status is {answer['status']}: {answer['error']}")
        text = answer["answer"]["text"]
        need(self.expect in text, f"{self.expect!r} is not in the answer {text!r}")
        return text

    @contextlib.contextmanager
    def busy(self):
        """Yields the ids of a session and of its question, which nobody answers meanwhile."""
        with psycopg.connect(self.database, autocommit=True) as database:
            database.execute(
                "insert into shopkeeper.queue_kind (kind, paused_at) values ('answer_question', now())"
                " on conflict (kind) do update set paused_at = now()"
            )
            try:
                session = f"check-{secrets.token_hex(4)}"
                yield session, self.ask(session_id=session)
            finally:
                database.execute("update shopkeeper.queue_kind set paused_at = null where kind = 'answer_question'")
                database.execute("select pg_notify('shopkeeper_job', 'answer_question')")


@contextlib.contextmanager
def cutting_proxy(upstream):
    """A proxy that cuts a stream after each event. Yields its address and the ids that clients resumed after."""
    seen = []
    target = urllib.parse.urlsplit(upstream)

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = LIMIT

        def do_GET(self):
            connection = http.client.HTTPConnection(target.hostname, target.port, timeout=LIMIT)
            wanted = ("authorization", "last-event-id", "prefer")
            headers = {name: value for name, value in self.headers.items() if name.lower() in wanted}
            connection.request("GET", self.path, headers=headers)
            response = connection.getresponse()
            is_stream = response.headers.get_content_type() == "text/event-stream"
            self.send_response(response.status)
            self.send_header("Content-Type", response.headers.get("Content-Type", "text/plain"))
            self.send_header("Connection", "close")
            self.close_connection = True
            if not is_stream:
                body = response.read()
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
            seen.append(self.headers.get("Last-Event-ID"))
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            lines = iter(response.readline, b"")
            event = b""
            for line in lines:
                event += line
                if line == b"\n":
                    break
            # Without the last chunk: the connection ends in the middle.
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            connection.close()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def background(command, environment, cwd=None):
    """Runs a server; yields the file that it prints to."""
    with tempfile.NamedTemporaryFile("w+") as printed:
        process = subprocess.Popen(command, env=environment, cwd=cwd, stdout=printed, stderr=subprocess.STDOUT)
        try:
            yield Path(printed.name)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


# curl


def curl(*arguments):
    tool("curl")
    return ["sh", str(EXAMPLES / "curl" / "ask.sh"), *arguments]


def curl_asks(shop):
    key = f"check-{secrets.token_hex(8)}"
    first = shop.json(curl("ask", shop.question, key))
    again = shop.json(curl("ask", shop.question, key))
    need(first["id"] == again["id"], "the same key made two questions")
    waited = shop.json(curl("wait", first["id"]))
    need(waited["answer"]["text"] == shop.text(first["id"]), f"another text: {waited}")
    read = shop.json(curl("read", first["id"]))
    need(read == waited, f"read and wait differ: {read} {waited}")
    shop.refused(curl("ask", "Something else?", key), "idempotency_mismatch")


def curl_quotes(shop):
    question = 'A "tent" for 2 \\ or 3, für Zwei?'
    asked = shop.json(curl("ask", question, secrets.token_hex(8), 'se"ss'))
    need((asked["question"], asked["session_id"]) == (question, 'se"ss'), f"arrived as {asked}")


def curl_watches(shop):
    answer_id = shop.ask()
    events = shop.done(curl("watch", answer_id)).stdout
    deltas = re.findall(r"^event: answer\.delta\nid: \d+\ndata: (.*)$", events, re.M)
    text = "".join(json.loads(data)["delta"] for data in deltas)
    need(text == shop.text(answer_id), f"the deltas are {text!r}")
    last = re.findall(r"^id: (\d+)$", events, re.M)
    need("event: answer.completed" in events, events[-300:])
    after = shop.done(curl("watch", answer_id, last[0])).stdout
    need(f"id: {last[0]}\n" not in after and f"id: {last[-1]}\n" in after, f"after {last[0]}: {after[:300]}")
    nothing = shop.done(curl("watch", answer_id, last[-1])).stdout
    need(not nothing.strip(), f"after the last one: {nothing[:300]}")


def curl_rates(shop):
    answer_id = shop.ask()
    shop.text(answer_id)
    rated = shop.json(curl("rate", answer_id, "up", 'Very "good"'))
    need((rated["rating"], rated["comment"]) == ("up", 'Very "good"'), f"noted as {rated}")
    with psycopg.connect(shop.database) as database:
        row = database.execute("select rating from shopkeeper.feedback where answer_id = %s", [answer_id]).fetchone()
    need(row == ("up",), f"the row is {row}")
    shop.refused(curl("rate", answer_id, "sideways"), "invalid_request")


def curl_cancels(shop):
    with shop.busy() as (_, answer_id):
        cancelled = shop.json(curl("cancel", answer_id))
        need(cancelled["status"] == "cancelled", f"status is {cancelled['status']}")
    answer_id = shop.ask()
    text = shop.text(answer_id)
    settled = shop.json(curl("cancel", answer_id))
    need(settled["answer"]["text"] == text, "what was settled did not stay")


def curl_shows_problems(shop):
    shop.refused(curl("read", NOBODY), "not_found")
    shop.refused(curl("ask", " "), "invalid_request")
    shop.refused(curl("ask", "x" * 100_000), "question_too_long")


# Python and Node


def python(*arguments):
    return [sys.executable, str(EXAMPLES / "python" / "ask.py"), *arguments]


def node(*arguments):
    return [tool("node"), str(EXAMPLES / "node" / "ask.mjs"), *arguments]


def asked_id(run):
    found = re.search(r"^answer (\S+)$", run.stderr, re.M)
    need(found, f"no id: {run.stderr}")
    return found[1]


def polls(shop, example):
    run = shop.done(example(shop.question))
    need(run.stdout == shop.text(asked_id(run)) + "\n", f"printed {run.stdout!r}")


def streams(shop, example):
    run = shop.done(example("--stream", shop.question))
    need(run.stdout == shop.text(asked_id(run)) + "\n", f"printed {run.stdout!r}")


def resumes(shop, example):
    answer_id = shop.ask()
    text = shop.text(answer_id)
    with cutting_proxy(shop.url) as (url, seen):
        run = shop.done(example("--stream", "--id", answer_id), url)
    need(run.stdout == text + "\n", f"printed {run.stdout!r}")
    need(len(seen) >= 3 and seen[0] is None and None not in seen[1:], f"connected with {seen}")
    need(sorted(set(seen[1:]), key=int) == seen[1:], f"connected with {seen}")


def streams_in_pieces(shop, example, models):
    if not models:
        raise Skip("without --models")
    fault = {"operation": "completions", "fault": {"slow_body_ms": 1500}}
    httpx.post(f"{models.removesuffix('/').removesuffix('/v1')}/_script", json=[fault]).raise_for_status()
    command = example("--stream", f"{shop.question} ({secrets.token_hex(2)})")
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=shop.environment(), stdout=pipe, stderr=pipe) as process:
        stop = threading.Timer(LIMIT, process.kill)
        stop.start()
        first, began = process.stdout.read1(), time.monotonic()
        rest, errors = process.communicate()
        lasted = time.monotonic() - began
        stop.cancel()
    need(process.returncode == 0, errors.decode())
    need(lasted > 0.5 and first and rest.strip(), f"{first!r}, then after {lasted:.1f} s {rest!r}")
    answer_id = re.search(rb"^answer (\S+)$", errors, re.M)[1].decode()
    said = (first + rest).decode()
    need(said == shop.answer(answer_id)["answer"]["text"] + "\n", f"printed {said!r}")


def shows_problems(shop, example):
    key = secrets.token_hex(8)
    shop.done(example("--key", key, shop.question))
    shop.refused(example("--key", key, "Something else?"), "422 idempotency_mismatch")
    shop.refused(example("--id", NOBODY), "404 not_found")
    shop.refused(example("--stream", "--id", NOBODY), "404 not_found")
    with shop.busy() as (session, answer_id):
        shop.refused(example("--session", session, "--on-busy", "reject", shop.question), "409 session_busy")
        shop.client.post(f"/v1/answers/{answer_id}/cancel")
        shop.refused(example("--id", answer_id), "cancelled")
        shop.refused(example("--stream", "--id", answer_id), "cancelled")


# Webhooks


def signed(secret, message):
    """A message as the daemon sends it: its headers and its body."""
    message_id, now, body = f"check-{secrets.token_hex(4)}", datetime.now(timezone.utc), json.dumps(message)
    signature = Webhook(secret).sign(message_id, now, body)
    headers = {"webhook-id": message_id, "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
    return headers | {"Content-Type": "application/json"}, body


def receives(url, secret, printed, line):
    """A receiver takes a signed message once, and no other."""
    message = {"type": "answer.completed", "timestamp": "", "data": {"id": NOBODY}}
    headers, body = signed(secret, message)
    forged = [
        ({**headers, "webhook-id": "another"}, body),
        (headers, body.replace("completed", "failed")),
        ({**headers, "webhook-timestamp": "1700000000"}, body),
        ({"Content-Type": "application/json"}, body),
        (signed("whsec_" + "A" * 32, message)[0], body),
        (headers, b"\xff"),
    ]
    for wrong_headers, wrong_body in forged:
        status = httpx.post(url, headers=wrong_headers, content=wrong_body).status_code
        need(status == 400, f"a forged message got {status}: {wrong_headers}")
    for _ in range(2):
        status = httpx.post(url, headers=headers, content=body).status_code
        need(status == 204, f"a signed message got {status}")
    lines = [found for found in printed.read_text().splitlines() if NOBODY in found]
    need(lines == line(headers["webhook-id"]), f"printed {printed.read_text()[-500:]}")


def receiver(shop, port, secret):
    environment = shop.environment() | {"SHOPKEEPER_WEBHOOK_SECRET": secret}
    command = [sys.executable, str(EXAMPLES / "python" / "receive.py"), str(port)]
    return background(command, environment)


def receiver_verifies(shop):
    secret, port = "whsec_" + secrets.token_hex(16), free_port()
    with receiver(shop, port, secret) as printed:
        until(lambda: "listening" in printed.read_text(), "receive.py listens")
        line = f"answer.completed {NOBODY}"
        receives(f"http://127.0.0.1:{port}/hook", secret, printed, lambda key: [f"{key} {line}", f"{key} {line} again"])


def receiver_is_told(shop, webhook):
    if not webhook:
        raise Skip("without --webhook-port and --webhook-secret")
    with receiver(shop, *webhook) as printed:
        until(lambda: "listening" in printed.read_text(), f"receive.py listens: {printed.read_text()}")
        answer_id = shop.ask()
        told = until(
            lambda: re.findall(rf"^(\S+) answer.completed {answer_id}$", printed.read_text(), re.M),
            "the receiver is told of an answer",
        )
        need(len(told) == 1, f"told {told}")
        delivery = until(
            lambda: next((one for one in deliveries(shop, "delivered") if one["answer_id"] == answer_id), None),
            "the delivery is known as delivered",
        )
        need(delivery["id"] == told[0], f"webhook-id {told[0]}, delivery {delivery}")
        response = shop.client.post(f"/v1/webhooks/deliveries/{delivery['id']}/redeliver")
        need(response.status_code == 202, f"{response.status_code}: {response.text}")
        until(
            lambda: f"{told[0]} answer.completed {answer_id} again\n" in printed.read_text(),
            "it is told again with the same id",
        )
        need("refused" not in printed.read_text(), printed.read_text())


def deliveries(shop, status):
    response = shop.client.get("/v1/webhooks/deliveries", params={"status": status})
    need(response.status_code == 200, f"{response.status_code}: {response.text}")
    return response.json()["data"]


# Django


@contextlib.contextmanager
def django_role(shop):
    """The database as Django sees it, and the role that asks. Without the binary, that is the owner."""
    binary = os.environ.get("SHOPKEEPER")
    if not binary:
        print("note  Django asks as the owner: SHOPKEEPER does not name the binary that prints the grants", flush=True)
        yield shop.database, conninfo_to_dict(shop.database)["user"]
        return
    printed = subprocess.run([binary, "migrate", "print", "--all", "--role", "postgres"], capture_output=True, text=True, check=True, timeout=LIMIT)
    _, _, grants = printed.stdout.rpartition("-- For services that ask by SQL.")
    grants = [line for line in grants.splitlines() if line.startswith("grant ")]
    need(len(grants) >= 3, f"`migrate print` has no grants: {grants}")
    role, password = f"check_{secrets.token_hex(4)}", secrets.token_hex(16)
    with psycopg.connect(shop.database, autocommit=True) as database:
        is_known = database.execute("select from pg_roles where rolname = 'shopkeeper_client'").fetchone() is not None
        if not is_known:
            database.execute("create role shopkeeper_client nologin")
        try:
            for grant in grants:
                database.execute(grant)
            database.execute(
                sql.SQL("create role {} login password {} in role shopkeeper_client").format(
                    sql.Identifier(role), sql.Literal(password)
                )
            )
            yield make_conninfo(shop.database, user=role, password=password), role
        finally:
            database.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(role)))
            if not is_known:
                database.execute("drop owned by shopkeeper_client")
                database.execute("drop role shopkeeper_client")


def django_environment(shop, database, secret):
    given = {"DATABASE_URL": database, "DJANGO_SECRET_KEY": secrets.token_hex(32), "SHOPKEEPER_WEBHOOK_SECRET": secret}
    return shop.environment() | given


@contextlib.contextmanager
def django_server(shop, database, port, secret):
    command = [sys.executable, "shop.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
    environment = django_environment(shop, database, secret)
    url = f"http://127.0.0.1:{port}"

    def answers():
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(url).status_code == 200

    with background(command, environment, EXAMPLES / "django") as printed:
        try:
            until(answers, "Django answers", 30)
        except AssertionError as error:
            raise AssertionError(f"{error}: {printed.read_text()[-1000:]}") from None
        yield url, printed


def django_asks(shop):
    secret = "whsec_" + "A" * 32
    with django_role(shop) as (database, role), django_server(shop, database, free_port(), secret) as (url, _):
        answer_id = asked_by_form(shop, url)
        with psycopg.connect(shop.database) as owner:
            known = "select client, status from shopkeeper.answer where id = %s"
            row = owner.execute(known, [answer_id]).fetchone()
        need(row == (role, "completed"), f"the row is {row}")
        run = subprocess.run(
            [sys.executable, "-c", BROKEN],
            env=django_environment(shop, database, secret),
            cwd=EXAMPLES / "django",
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        need(run.stdout == "500 1 0\n", f"a question of a request that failed: {run.stdout}{run.stderr[-500:]}")


def asked_by_form(shop, url):
    """Asks as a browser does, looks until the answer is shown, and returns its id."""
    with httpx.Client(base_url=url, timeout=30) as browser:
        form = dict(re.findall(r'name="(\w+)" value="([^"]+)"', browser.get("/").text))
        form["question"] = shop.question
        first, again = (browser.post("/ask", data=form) for _ in range(2))
        need(first.status_code == 302, f"{first.status_code}: {first.text[:300]}")
        address = first.headers["Location"]
        need(again.headers.get("Location") == address, "the form, sent twice, made two questions")
        need(httpx.post(f"{url}/ask", data=form).status_code == 403, "another site's form was taken")
        need(browser.get(f"/answers/{NOBODY}").status_code == 404, "there is an answer that there is not")

        def settled():
            answer = browser.get(address).json()
            return answer if answer["status"] not in ("queued", "in_progress") else None

        answer = until(settled, "Django sees the answer")
    need(answer["status"] == "completed" and shop.expect in answer["answer"], f"the answer is {answer}")
    need(any(shop.expect in passage["content"] for passage in answer["passages"]), f"the passages: {answer}")
    return address.rpartition("/")[2]


# A request that asks and then fails: prints its status, how often it asked, and how many of its questions are there.
BROKEN = """
import uuid

import shop
from django.test import Client
from django.urls import path

asked = []

def broken(request):
    asked.append(shop.ask_shopkeeper("Never asked?", str(uuid.uuid4())))
    assert shop.Answer.objects.get(pk=asked[0]).status == "queued"
    raise RuntimeError

shop.urlpatterns.append(path("broken", broken))
response = Client(raise_request_exception=False).get("/broken", headers={"host": "127.0.0.1"})
print(response.status_code, len(asked), shop.Answer.objects.filter(pk=asked[0]).count())
"""


def django_verifies(shop):
    secret = "whsec_" + secrets.token_hex(16)
    with django_server(shop, shop.database, free_port(), secret) as (url, printed):
        receives(f"{url}/hook", secret, printed, lambda _: [f"told: answer.completed {NOBODY}"])


def django_is_told(shop, webhook):
    if not webhook:
        raise Skip("without --webhook-port and --webhook-secret")
    port, secret = webhook
    with django_server(shop, shop.database, port, secret) as (_, printed):
        answer_id = shop.ask()
        until(lambda: f"told: answer.completed {answer_id}\n" in printed.read_text(), "Django is told of an answer")


def main():
    parser = argparse.ArgumentParser(description="Run the examples against a daemon.")
    parser.add_argument("base_url")
    parser.add_argument("--database", required=True, help="the daemon's database, as the owner of its schema")
    parser.add_argument("--token", help="for HTTP; for the webhooks it needs the scope admin")
    parser.add_argument("--question", default="Which sleeping bag is for snow?")
    parser.add_argument("--expect", default="nights on snow", help="what the answer to it must hold")
    parser.add_argument("--webhook-port", type=int)
    parser.add_argument("--webhook-secret")
    parser.add_argument("--models", help="the address of the offline model server")
    arguments = parser.parse_args()
    webhook = (arguments.webhook_port, arguments.webhook_secret)
    webhook = webhook if all(webhook) else None
    shop = Shop(arguments)

    checks = [
        ("curl: a question is asked once for each key, waited for, read", curl_asks),
        ("curl: quotes, backslashes and umlauts arrive", curl_quotes),
        ("curl: the events tell the answer's text, also after one that was seen", curl_watches),
        ("curl: an answer is rated", curl_rates),
        ("curl: a question is cancelled, what is settled stays", curl_cancels),
        ("curl: problems are shown", curl_shows_problems),
    ]
    for name, example in [("python", python), ("node", node)]:
        checks += [
            (f"{name}: an answer is polled", lambda shop, example=example: polls(shop, example)),
            (f"{name}: the streamed text is the answer's", lambda shop, example=example: streams(shop, example)),
            (f"{name}: a stream that is cut goes on", lambda shop, example=example: resumes(shop, example)),
            (
                f"{name}: a slow answer is shown in pieces",
                lambda shop, example=example: streams_in_pieces(shop, example, arguments.models),
            ),
            (f"{name}: problems are shown", lambda shop, example=example: shows_problems(shop, example)),
        ]
    checks += [
        ("receive.py: signed messages alone are taken, each once", receiver_verifies),
        ("receive.py: a delivery arrives, and once more", lambda shop: receiver_is_told(shop, webhook)),
        ("django: a question is asked by SQL, in the request's transaction", django_asks),
        ("django: signed messages alone are taken, each once", django_verifies),
        ("django: a delivery arrives", lambda shop: django_is_told(shop, webhook)),
    ]
    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    for name, check in checks:
        try:
            check(shop)
            word, why = "ok", ""
        except Skip as skip:
            word, why = "skip", f": {skip}"
        except Exception as error:  # one failure does not stop the other checks
            word, why = "FAIL", f": {type(error).__name__}: {error}"
        counts[word] += 1
        print(f"{word:5} {name}{why}", flush=True)
    skipped = f", {counts['skip']} skipped" if counts["skip"] else ""
    print(f"{counts['ok']} passed, {counts['FAIL']} failed{skipped}")
    sys.exit(1 if counts["FAIL"] else 0)


if __name__ == "__main__":
    main()
