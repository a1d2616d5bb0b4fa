"""One HTTP request and what came of it: the only place that knows the HTTP library and its errors."""

import time
from typing import TYPE_CHECKING

from ocrray.engines.server import answers, faults
from ocrray.engines.server.answers import Answer
from ocrray.engines.server.config import ServerConfig
from ocrray.engines.server.faults import Fault, Scope

if TYPE_CHECKING:
    import httpx2

_MAX_BODY_BYTES = 64 * 1024 * 1024
_MAX_REDIRECTS = 3
_KEEPS_METHOD = (307, 308)


class Transport:
    """Sends requests to one endpoint, over connections that are kept."""

    def __init__(self, config: ServerConfig) -> None:
        import httpx2

        self._timeout_s = config.timeout_s
        self._url = httpx2.URL(f"{config.address}/{config.endpoint}", query=config.parameters.encode() or None)
        user_info = config.user_info()
        # Redirects are followed by hand: the library would turn a POST into a GET.
        self._client = httpx2.Client(
            auth=httpx2.BasicAuth(*user_info) if user_info else None,
            headers={"User-Agent": "ocrray", **config.all_headers(), "Content-Type": "application/json"},
            timeout=config.timeout_s,
            follow_redirects=False,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=config.concurrency),
        )

    def send(self, body: bytes) -> Answer | Fault:
        """Return the answer to a POST of `body`, or what went wrong."""
        import httpx2

        try:
            return self._send(body, self._url)
        except httpx2.TimeoutException:
            return self._late()
        except httpx2.ConnectError as error:
            lasting = "CERTIFICATE_VERIFY" in str(error) or "WRONG_VERSION_NUMBER" in str(error)
            scope = Scope.RUN if lasting else Scope.PASSING
            return Fault(scope, "connection_lost", f"cannot be reached: {_one_line(error)}")
        except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, httpx2.InvalidURL) as error:
            return Fault(Scope.RUN, "connection_lost", f"cannot be asked: {_one_line(error)}")
        except httpx2.ProxyError as error:
            scope = Scope.RUN if "407" in str(error) or "403" in str(error) else Scope.PASSING
            return Fault(scope, "connection_lost", f"cannot be reached through the proxy: {_one_line(error)}")
        except httpx2.DecodingError as error:
            return Fault(Scope.PASSING, "malformed_answer", f"the answer cannot be decoded: {_one_line(error)}")
        except httpx2.TransportError as error:
            return Fault(Scope.PASSING, "connection_lost", f"the connection was lost: {_one_line(error)}")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _send(self, body: bytes, url: "httpx2.URL") -> Answer | Fault:
        deadline_s = time.monotonic() + self._timeout_s
        for _ in range(_MAX_REDIRECTS):
            with self._client.stream("POST", url, content=body) as response:
                target = response.headers.get("location", "")
                if response.status_code in _KEEPS_METHOD and target and (there := url.join(target)).host == url.host:
                    url = there
                    continue
                # The library's own time-out begins anew with every byte.
                data = bytearray()
                for piece in response.iter_bytes():
                    data += piece
                    if time.monotonic() > deadline_s:
                        return self._late()
                    if len(data) > _MAX_BODY_BYTES:
                        return Fault(Scope.PASSING, "malformed_answer", f"the answer is longer than {_MAX_BODY_BYTES:,} bytes")
                if response.is_success:
                    return answers.read(bytes(data))
                return faults.of_status(response.status_code, bytes(data), dict(response.headers))
        return Fault(Scope.UNCLEAR, "http_308", "redirects in a circle")

    def _late(self) -> Fault:
        return Fault(Scope.PASSING, "timeout", f"does not answer within {self._timeout_s:g} s")


def _one_line(error: Exception) -> str:
    cause = error.__cause__ if not str(error) and error.__cause__ else error
    return " ".join(str(cause).split()) or type(cause).__name__
