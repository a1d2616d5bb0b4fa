"""OpenAI-style batch files: requests written for a provider that answers them within a day for half the price, and its results.

Folder: `requests/batch-00001.jsonl`, ... (to be sent), `requests/parts/` (of workers; merged at the end of a run), and `results/`
with the provider's files of results and errors under any name that ends with `.jsonl`. A request's `custom_id` is a hash of its
content: equal requests are sent once, and results belong to any run that asks the same.
"""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from ocrray.engines.server import answers, faults
from ocrray.engines.server.answers import Answer
from ocrray.engines.server.faults import Fault, Scope
from ocrray.storage import Location

MAX_REQUESTS = 50_000
MAX_BYTES = 190_000_000
"""Limits of OpenAI for one file: 50,000 requests, 200 MB."""
_MAX_FAILURES = 3
_READ_BYTES = 1 << 20
_ID = re.compile(rb'"custom_id"\s*:\s*"ocrray-([0-9a-f]{40})"')
_REQUESTS, _PARTS, _RESULTS = "requests", "requests/parts", "results"


def request_line(endpoint: str, body: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Return the id of a request, and its line for a batch file."""
    key = hashlib.sha256(json.dumps([endpoint, body], sort_keys=True).encode()).digest()[:20]
    line = {"custom_id": f"ocrray-{key.hex()}", "method": "POST", "url": f"/v1/{endpoint}", "body": body}
    return key, json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


class BatchFiles:
    """Requests and results in a folder, as they were when it was opened; requests are added."""

    def __init__(self, folder: Location) -> None:
        self._folder = folder
        self._files: list[Location] = []
        self._places: defaultdict[bytes, list[tuple[int, int, int]]] = defaultdict(list)  # file, offset, bytes
        for file, offset, line in _lines(folder.child(_RESULTS)):
            if found := _ID.search(line):
                if not self._files or self._files[-1] != file:
                    self._files.append(file)
                self._places[bytes.fromhex(found[1].decode())].append((len(self._files) - 1, offset, len(line)))
        self._sent = _sent(folder)

    def answer(self, key: bytes) -> Answer | None:
        """Return the answer to a request; None while there is none, or it failed for a reason that may pass."""
        outcomes = [self._outcome(*place) for place in self._places.get(key, ())]
        for outcome in reversed(outcomes):
            if isinstance(outcome, Answer):
                return outcome
            if outcome.scope in (Scope.TEXT, Scope.SETTINGS, Scope.UNCLEAR) or len(outcomes) >= _MAX_FAILURES:
                return Answer(None, outcome.reason, outcome.sentence)
        return None

    def must_be_sent(self, key: bytes) -> bool:
        """Return whether a request was not written yet, or each time it was it failed."""
        return self._sent[key] <= len(self._places.get(key, ()))

    def add(self, lines: Mapping[bytes, bytes]) -> None:
        """Write requests, by their ids, as a part that `merge` takes up; the same requests make the same file."""
        if not lines:
            return
        parts = self._folder.child(_PARTS)
        parts.filesystem.create_dir(parts.path, recursive=True)
        parts.write_bytes(f"{hashlib.sha256(b''.join(sorted(lines))).hexdigest()[:32]}.jsonl", b"".join(lines.values()))

    def _outcome(self, file: int, offset: int, size: int) -> Answer | Fault:
        place = self._files[file]
        with place.filesystem.open_input_file(place.path) as stream:
            stream.seek(offset)
            return _read(stream.read(size))


def merge(folder: Location) -> tuple[int, int]:
    """Put the parts of a run into files to be sent; return how many requests these newly hold, and how many wait for an answer.

    A file with the requests is written before their parts are deleted: a killed merge repeats requests, and loses none.
    """
    parts, requests = folder.child(_PARTS), folder.child(_REQUESTS)
    seen: set[bytes] = set()
    lines: list[bytes] = []
    size = 0

    def flush() -> None:
        nonlocal size
        if lines:
            numbers = [int(found[1]) for info in requests.files(".jsonl") if (found := re.match(r"batch-(\d+)", info.base_name))]
            requests.write_bytes(f"batch-{max(numbers, default=0) + 1:05}.jsonl", b"".join(lines))
            lines.clear()
            size = 0

    for _, _, line in _lines(parts):
        found = _ID.search(line)
        if not found or (key := bytes.fromhex(found[1].decode())) in seen:
            continue
        seen.add(key)
        if len(lines) == MAX_REQUESTS or size + len(line) > MAX_BYTES:
            flush()
        lines.append(line)
        size += len(line)
    flush()
    for info in parts.files(".jsonl"):
        parts.delete(info.base_name)
    answered = Counter(
        bytes.fromhex(found[1].decode()) for _, _, line in _lines(folder.child(_RESULTS)) if (found := _ID.search(line))
    )
    waiting = sum(times > answered[key] for key, times in _sent(folder).items())
    return len(seen), waiting


def _sent(folder: Location) -> Counter[bytes]:
    """Count in how many files each request was written."""
    return Counter(
        bytes.fromhex(found[1].decode()) for _, _, line in _lines(folder.child(_REQUESTS)) if (found := _ID.search(line))
    )


def _lines(folder: Location) -> Iterator[tuple[Location, int, bytes]]:
    """Yield the lines of the JSON lines files in a folder, each with its file and its offset in bytes."""
    for info in folder.files(".jsonl"):
        file, offset = folder.child(info.base_name), 0
        rest = b""
        with file.filesystem.open_input_stream(file.path) as stream:
            while data := stream.read(_READ_BYTES):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    yield file, offset, line + b"\n"
                    offset += len(line) + 1
        if rest:
            yield file, offset, rest + b"\n"


def _read(line: bytes) -> Answer | Fault:
    """Return what a line of results says."""
    try:
        tree = json.loads(line)
        response, error = tree.get("response"), tree.get("error")
    except (ValueError, AttributeError, RecursionError):
        return Fault(Scope.PASSING, "malformed_answer", "a line of the results is no JSON")
    if not isinstance(response, Mapping):  # expired, or cancelled
        return faults.of_error_in_body(error)
    content, status = response.get("body"), response.get("status_code", 200)
    body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
    if isinstance(status, int) and status != 200:
        return faults.of_status(status, body, {})
    return faults.of_error_in_body(error) if error else answers.read(body)
