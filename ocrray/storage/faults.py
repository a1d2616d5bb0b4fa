"""Faults of stores: which pass by themselves and are waited out, and which are those of a single file.

A fault of a store must never become a fault of a record. So every operation on files goes through `retrying`, which raises
StoreError where the store is at fault and lets through only errors of the one file.
"""

import errno
import random
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeVar

from ocrray.errors import StoreError

ResultT = TypeVar("ResultT")

DEFAULT_MAX_WAIT_S = 300.0
_PLANNING_WAIT_S = 15.0  # nothing is done yet, and somebody waits for the plan
_BAD_SECTOR_WAIT_S = 30.0
_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.5, 15.0
_SILENT_S, _REPORT_EVERY_S = 10.0, 60.0


class Fault(Enum):
    """Cause of an error of a file operation."""

    PASSING = auto()
    """The store is overloaded or out of reach."""
    DENIED = auto()
    """The store refuses the credentials, or this file to them; they may have expired."""
    LASTING = auto()
    """The store refuses until somebody acts: a full disk, a bucket that does not exist."""
    OF_FILE = auto()
    """The file is missing or cannot be read; others can."""


class StoreAwayError(OSError):
    """A folder is gone or empty that had files before, as that of a share which is not mounted."""


class ChangedFileError(OSError):
    """A file was changed while it was read."""


@dataclass(slots=True)
class Waiting:
    """For how long this process waits for a store, and for new credentials, and to whom it says so while it does."""

    max_wait_s: float = DEFAULT_MAX_WAIT_S
    denied_wait_s: float = DEFAULT_MAX_WAIT_S
    report: Callable[[str], object] = lambda line: print(f"ocrray: {line}", file=sys.stderr, flush=True)


_waiting = Waiting()


def wait_for_stores(max_wait_s: float, report: Callable[[str], object] | None = None) -> None:
    """Wait in this process, from now on, for at most `max_wait_s` for a store; `report` gets a line where it takes long."""
    global _waiting
    _waiting = Waiting(max_wait_s, max_wait_s, report or Waiting().report)


def wait_briefly() -> None:
    """Wait in this process, from now on, as in planning: not long, and not for credentials, which may just be wrong."""
    global _waiting
    _waiting = Waiting(_PLANNING_WAIT_S, denied_wait_s=0.0)


def max_wait_s() -> float:
    """Return the seconds for which this process waits at most."""
    return _waiting.max_wait_s


def report_waiting(line: str) -> None:
    """Say that this process waits for something other than a store, such as a server."""
    _waiting.report(f"waiting: {line}")


_OF_FILE = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EACCES,
    errno.EPERM,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.EINVAL,
    errno.EEXIST,
    errno.ENOTEMPTY,
    errno.EFBIG,
    errno.EILSEQ,
}
_LASTING = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}

# Messages of pyarrow: `AWS Error SLOW_DOWN during ...`, `AWS Error UNKNOWN (HTTP status 503) during ...: Unable to parse
# ExceptionName: ExpiredToken`, `google::cloud::Status(UNAVAILABLE: ...)`. The answer to a HEAD has no body, so that expired
# credentials are there a bare 403, or 400.
_MESSAGES = (
    (re.compile(r"NO_SUCH_BUCKET|NoSuchBucket|Bucket '.*' not found|PERMANENT_REDIRECT|HTTP status 301"), Fault.LASTING),
    (re.compile(r"NO_SUCH_KEY|NO_SUCH_UPLOAD|RESOURCE_NOT_FOUND|HTTP status 404|Status\(NOT_FOUND"), Fault.OF_FILE),
    (
        re.compile(
            r"ACCESS_DENIED|INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH|REQUEST_TIME_TOO_SKEWED|REQUEST_EXPIRED"
            r"|INVALID_CLIENT_TOKEN_ID|UNRECOGNIZED_CLIENT|MISSING_AUTHENTICATION_TOKEN|INVALID_SIGNATURE"
            r"|ExpiredToken|InvalidToken|TokenRefreshRequired|HTTP status 40[013]|Status\((?:PERMISSION_DENIED|UNAUTHENTICATED)"
        ),
        Fault.DENIED,
    ),
)


def classify(error: OSError) -> Fault:
    """Return the cause of an error that the operating system or pyarrow raised for a file operation."""
    if isinstance(error, StoreAwayError):
        return Fault.PASSING
    if isinstance(error, ChangedFileError):
        return Fault.OF_FILE
    message = str(error)
    if error.errno is None or "AWS Error" in message or "google::cloud" in message:
        return next((fault for pattern, fault in _MESSAGES if pattern.search(message)), Fault.PASSING)
    if error.errno in _LASTING:
        return Fault.LASTING
    return Fault.OF_FILE if error.errno in _OF_FILE else Fault.PASSING


def retrying(
    work: Callable[[], ResultT],
    what: str,
    *,
    reconnect: Callable[[], object] | None = None,
    serves_others: Callable[[], bool] | None = None,
) -> ResultT:
    """Return the result of `work`, repeated with growing pauses while the store is at fault.

    `what` begins the message, such as `s3://bucket/key: cannot be read`. `reconnect` is called where credentials are refused, so
    that new ones are found. `serves_others` is given for the reading of one file: True if others can be read now.

    Raises: OSError: where this file alone is at fault; StoreError: where the store is, after `max_wait_s`.
    """
    try:
        return work()
    except OSError as error:
        first = error
    return _repeated(work, what, first, reconnect, serves_others)


def _repeated(
    work: Callable[[], ResultT],
    what: str,
    error: OSError,
    reconnect: Callable[[], object] | None,
    serves_others: Callable[[], bool] | None,
) -> ResultT:
    begun_s, pause_s, report_at_s = time.monotonic(), _FIRST_PAUSE_S, _SILENT_S
    while True:
        fault = classify(error)
        limit_s = _limit_s(fault, error, serves_others)
        if fault is Fault.DENIED and reconnect:
            reconnect()
        waited_s = time.monotonic() - begun_s
        if waited_s >= limit_s:
            _give_up(what, fault, error, waited_s, serves_others)
        if waited_s >= report_at_s:
            _waiting.report(f"waiting: {what}: {cause(error)} ({waited_s:.0f} s of {limit_s:.0f} s)")
            report_at_s += _REPORT_EVERY_S
        time.sleep(min(pause_s * random.uniform(0.5, 1.0), limit_s - waited_s))
        pause_s = min(2 * pause_s, _MAX_PAUSE_S)
        try:
            return work()
        except OSError as again:
            error = again


def _limit_s(fault: Fault, error: OSError, serves_others: Callable[[], bool] | None) -> float:
    """Return the seconds to wait at most; raise an error of this file alone."""
    if fault is Fault.OF_FILE or (fault is Fault.DENIED and serves_others and serves_others()):
        raise error
    if fault is Fault.DENIED:
        return _waiting.denied_wait_s
    if fault is Fault.LASTING:
        return 0.0
    if error.errno == errno.EIO and serves_others:
        return min(_BAD_SECTOR_WAIT_S, _waiting.max_wait_s)
    return _waiting.max_wait_s


def _give_up(what: str, fault: Fault, error: OSError, waited_s: float, serves_others: Callable[[], bool] | None) -> None:
    if error.errno == errno.EIO and serves_others and serves_others():
        raise error  # a bad sector
    refused = "; the credentials are refused, or have expired" if fault is Fault.DENIED else ""
    waited = f" (waited {waited_s:.0f} s)" if waited_s >= 1 else ""
    raise StoreError(f"{what}: {cause(error)}{refused}{waited}", transient=fault is not Fault.LASTING) from None


_AWS_CAUSE = re.compile(
    r"AWS Error (?P<code>\w+)(?: \(HTTP status (?P<status>\d+)\))? during (?P<operation>\w+) operation: (?P<message>.*)",
    re.DOTALL,
)
_UNPARSED = re.compile(r"Unable to parse ExceptionName: (?P<code>\w+) Message: (?P<message>.*)", re.DOTALL)


def cause(error: OSError) -> str:
    """Return the cause in one short line, without the names of files that pyarrow begins with."""
    text = str(error)
    if not (found := _AWS_CAUSE.search(text)):
        return error.strerror or " ".join(text.split())[:300]
    code, message = found["code"], found["message"]
    if unparsed := _UNPARSED.search(message):
        code, message = unparsed["code"], unparsed["message"]
    elif code == "UNKNOWN":
        code = f"HTTP status {found['status']}"
    message = re.sub(r"\(Request ID: .*?\)", "", message).removeprefix("No response body.")
    return " ".join(f"{code} at {found['operation']} {message}".split())[:300]
