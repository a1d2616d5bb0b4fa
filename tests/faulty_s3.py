"""An S3 server that fails on command: moto's, behind a layer that answers some requests itself."""

import fnmatch
import itertools
import socket
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
"""Environment of a client of this server."""

_BODY = (
    "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message><RequestId>1</RequestId></Error>"
)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Answer to some requests in place of the true one: `status` with `code`, or with `reset` a connection that is cut."""

    every: int = 1
    """Every n-th of the matching requests fails."""
    status: int = 503
    code: str = "SlowDown"
    message: str = "Please reduce your request rate."
    match: str = "*"
    """Glob of the paths of requests: `/bucket/key`."""
    methods: Collection[str] = ("GET", "HEAD", "PUT", "POST", "DELETE")
    listing: bool | None = None
    """True: only requests that list a bucket; False: all others."""
    reset: bool = False
    latency_s: float = 0.0
    """Time before every answer, failed or not."""
    key: str | None = None
    """Only requests signed with this access key id."""


class FaultyS3:
    """S3 server in a thread of this process, with one `bucket`.

    `requests` counts by method, `failed` those that a fault answered.
    """

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self.bucket = "archive"
        self.requests = Counter[str]()
        self.failed = 0
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=_Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.client().create_bucket(Bucket=self.bucket)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._server.port}"

    def uri(self, path: str) -> str:
        """Return the URI of `bucket/key` on this server, with the options that pyarrow needs."""
        return f"s3://{path}?endpoint_override={self.address}&scheme=http&region=us-east-1"

    def client(self) -> Any:
        """Return a client of boto3."""
        secrets = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url=f"http://{self.address}", **secrets)

    @contextmanager
    def failing(self, **fault: Any) -> Iterator[None]:
        """Fail so, for a time."""
        self.fault = Fault(**fault)
        try:
            yield
        finally:
            self.fault = None

    def fail_for(self, duration_s: float, **fault: Any) -> None:
        """Fail so from now on, for this time, and return at once."""
        failing = self.fault = Fault(**fault)

        def end() -> None:
            if self.fault is failing:
                self.fault = None

        timer = threading.Timer(duration_s, end)
        timer.daemon = True
        timer.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        fault = self.fault
        with self._lock:
            self.requests[environ["REQUEST_METHOD"]] += 1
            failing = fault is not None and _matches(fault, environ) and next(self._numbers) % fault.every == 0
            self.failed += failing
        if fault and fault.latency_s:
            time.sleep(fault.latency_s)
        if not failing or fault is None:
            return self._moto(environ, start_response)
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if fault.reset:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError
        body = b"" if environ["REQUEST_METHOD"] == "HEAD" else _BODY.format(code=fault.code, message=fault.message).encode()
        start_response(f"{fault.status} {fault.code}", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]


def _matches(fault: Fault, environ: dict[str, Any]) -> bool:
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    lists = method == "GET" and "list-type=" in environ.get("QUERY_STRING", "")
    return (
        method in fault.methods
        and fnmatch.fnmatchcase(path, fault.match)
        and fault.listing in (None, lists)
        and (fault.key is None or f"Credential={fault.key}/" in environ.get("HTTP_AUTHORIZATION", ""))
    )


class _Handler(MotoRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept, as S3 does

    def log_request(self, *_: Any) -> None:
        """Keep the terminal quiet."""

    log_error = log_request
