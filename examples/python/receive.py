"""Receives what shopkeeper tells by webhook: verifies the signature (Standard Webhooks), and takes each message once.

    pip install standardwebhooks
    SHOPKEEPER_WEBHOOK_SECRET=whsec_… python receive.py 9000

In jobs.toml, for a receiver on this machine:

    [[webhook]]
    name = "receiver"
    url = "http://127.0.0.1:9000/hook"
    secret = { env = "SHOPKEEPER_WEBHOOK_SECRET" }
    allow_private_addresses = true

Prints a line for each delivery: the message's id, its type, the answer's id, and `again` when it came before.
"""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

MAX_BODY = 1_000_000
KEPT = 10_000

webhook = Webhook(os.environ["SHOPKEEPER_WEBHOOK_SECRET"])
# Ids that were taken, the oldest first. A real receiver keeps them in its database, in the transaction that acts on
# the message: a delivery whose answer was lost comes again with the same id.
taken = {}
lock = Lock()


def is_new(message_id):
    with lock:
        if message_id in taken:
            return False
        taken[message_id] = True
        if len(taken) > KEPT:
            del taken[next(iter(taken))]
        return True


class Receiver(BaseHTTPRequestHandler):
    timeout = 15

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if self.path != "/hook" or not length.isdecimal() or int(length) > MAX_BODY:
            self.close_connection = True
            return self.reply(404 if self.path != "/hook" else 413)
        body = self.rfile.read(int(length))
        try:
            # Of the bytes as they came: JSON that is read and written again has another signature.
            message = webhook.verify(body, dict(self.headers))
        except (WebhookVerificationError, ValueError) as error:
            print(f"refused: {error}", file=sys.stderr, flush=True)
            return self.reply(400)
        message_id = self.headers["webhook-id"]
        again = "" if is_new(message_id) else " again"
        print(f"{message_id} {message['type']} {message['data']['id']}{again}", flush=True)
        # Any 2xx ends it; with any other status it is told again later, with 410 never.
        self.reply(204)

    def reply(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    with ThreadingHTTPServer(("127.0.0.1", port), Receiver) as server:
        print(f"listening on http://127.0.0.1:{server.server_port}/hook", file=sys.stderr, flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
