"""An OpenAI-style server that misbehaves as a test says: real HTTP, one text at a time."""

import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = "SEKRIT0815"
SERVER_KEY = {"MISBEHAVING_SERVER_KEY": f"{SECRET}-key\n"}
"""Environment of a client of this server: a key as `echo` writes it into a file."""


def chat(text, end="stop", **message):
    """The JSON of a good answer; `message` replaces or adds keys of the message."""
    choice = {"index": 0, "finish_reason": end, "message": {"role": "assistant", "content": text, **message}}
    return {"object": "chat.completion", "choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 7}}


def error(sentence, **more):
    """The JSON of an error."""
    return {"error": {"message": sentence, **more}}


class Served:
    """Requests that the server got: `texts` and how often each came, `bodies` and `headers` of all requests, and its address."""

    def __init__(self, url):
        self.url, self.texts, self.bodies, self.headers, self.paths = url, Counter(), [], [], []


@contextmanager
def serving(answer, port=0):
    """Serve `answer(text, attempt)`: a dictionary (200), `(status, body)`, `(status, body, headers)`, or a function of a handler.

    A body is JSON, or bytes.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
            if isinstance(text, list):  # an image is known by its address
                text = "".join(part["image_url"]["url"] if "image_url" in part else part["text"] for part in text)
            served.texts[text] += 1
            served.bodies.append(body)
            served.headers.append({name.lower(): value for name, value in self.headers.items()})
            served.paths.append(self.path)
            found = answer(text, served.texts[text])
            if callable(found):
                found(self)
                return
            status, content, headers = (*found, {})[:3] if isinstance(found, tuple) else (200, found, {})
            self.reply(status, content if isinstance(content, bytes) else json.dumps(content).encode(), headers)

        def do_GET(self):
            self.reply(200, b"<html>a login page</html>", {})

        def reply(self, status, data, headers):
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    served = Served(f"http://127.0.0.1:{server.server_port}/v1")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()


def drops(handler):
    """End the connection without an answer."""
    handler.close_connection = True


def cuts(handler):
    """End the connection in the middle of an answer."""
    data = json.dumps(chat("Hi")).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data) + 50))
    handler.end_headers()
    handler.wfile.write(data)
    handler.close_connection = True


def trickles(handler):
    """Send a byte now and then, forever."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    try:
        for _ in range(100):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        pass
    handler.close_connection = True
