"""Lease on a folder of an object store: one process at a time holds it, found out by objects that each process writes for itself.

Object stores have no locks, and pyarrow cannot write on condition that an object is absent. But their listings are consistent
(S3 since 2020, GCS, MinIO): a process that first writes `_lease/TOKEN.asking` and then lists `_lease/` sees every process that
might also hold the folder, and holds it (`TOKEN.holding`) only when there is none. A holder rewrites its object each HEARTBEAT_S;
one that was not rewritten for STALE_S, by the store's own clock, is removed by the next process, and its owner, should it wake
up, finds it gone and stops.
"""

import json
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
from pyarrow import fs

from ocrray.errors import OcrrayError
from ocrray.storage.location import Location

FOLDER_NAME = "_lease"
HEARTBEAT_S = 20.0
STALE_S = 90.0
_POLL_S = 1.0
_RELEASE_S = 10.0
_CLOCK_CHANGE_S = 10  # the start of a process is told by a clock that may be set in between


class HeldError(OcrrayError):
    """Another process holds the folder; `str()` names it."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Process that holds a folder or asks for it."""

    host: str
    pid: int
    since: str
    machine: str
    """Boot of a machine and name space of its process ids: where it is equal, `pid` can be looked up."""
    started: float
    """Start of the process in seconds since the epoch: process ids are used again."""

    @classmethod
    def this_process(cls) -> "Owner":
        """Return this process as an owner."""
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
            machine = f"{boot} {Path('/proc/self/ns/pid').readlink()}"
        except OSError:  # not Linux
            machine = f"{socket.gethostname()} {psutil.boot_time():.0f}"
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return cls(socket.gethostname(), os.getpid(), since, machine, psutil.Process().create_time())

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"

    def lives_beside(self, other: "Owner") -> bool | None:
        """Return whether this process is alive, None where `other`, this process, cannot know because it runs elsewhere."""
        if self.machine != other.machine:
            return None
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _CLOCK_CHANGE_S
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


@dataclass(frozen=True, slots=True)
class _Claim:
    token: str
    state: str
    """`asking` or `holding`."""
    written_ns: int


class Lease:
    """Lease of this process on `output`; `held` is how to use it."""

    def __init__(self, output: Location, heartbeat_s: float = HEARTBEAT_S, stale_s: float = STALE_S) -> None:
        self.lost_to: str | None = None
        """Owner that took the folder over, once `beat` has found out."""
        self.heartbeat_s = heartbeat_s
        self._stale_ns = int(stale_s * 1e9)
        self._folder = output.child(FOLDER_NAME)
        self._token = uuid.uuid4().hex
        self._owner = Owner.this_process()

    def acquire(self) -> None:
        """Hold the folder, after waiting for the next sign of life of an owner elsewhere, or for STALE_S without one.

        Raises: HeldError: when another process holds it; OSError: when the store cannot be reached.
        """
        first_seen: dict[str, int] = {}
        try:
            self._write("asking")
            while rivals := self._rivals():
                for rival in rivals:
                    self._give_way_or_refuse(rival, first_seen.setdefault(rival.token + rival.state, rival.written_ns))
                time.sleep(_POLL_S)
                self._write("asking")  # its time is the store's own, by which the others' is told
            self._write("holding")
        finally:
            self._delete(self._token, "asking")

    def beat(self) -> None:
        """Show that this process is alive, unless another took the folder over: then set `lost_to`.

        Raises: OSError: when the store cannot be reached.
        """
        claims = self._claims()
        mine = next((claim for claim in claims if claim.token == self._token), None)
        holders = [claim for claim in claims if claim.state == "holding" and claim is not mine]
        live = [claim for claim in holders if mine is None or claim.written_ns > mine.written_ns - self._stale_ns]
        if mine is None or live:
            self.lost_to = str((live and self._read(live[0])) or "another process")
            return
        self._write("holding")

    def release(self) -> None:
        """Give the folder up."""
        self._delete(self._token, "holding")

    def _give_way_or_refuse(self, rival: _Claim, first_written_ns: int) -> None:
        if (owner := self._read(rival)) is None:
            return
        alive = owner.lives_beside(self._owner)
        if alive is False:
            self._delete(rival.token, rival.state)
        elif rival.state == "holding" and (alive or rival.written_ns > first_written_ns):
            raise HeldError(str(owner))
        elif rival.state == "asking" and rival.token < self._token:  # of two that ask at once, one lets the other finish
            self._delete(self._token, "asking")

    def _rivals(self) -> list[_Claim]:
        """Return the claims of others, after removing stale ones."""
        claims = self._claims()
        now_ns = max((claim.written_ns for claim in claims if claim.token == self._token), default=0)
        rivals = []
        for claim in claims:
            if claim.token == self._token:
                continue
            if claim.written_ns <= now_ns - self._stale_ns:
                self._delete(claim.token, claim.state)
            else:
                rivals.append(claim)
        return rivals

    def _claims(self) -> list[_Claim]:
        listing = self._folder.filesystem.get_file_info(fs.FileSelector(self._folder.path, allow_not_found=True))
        parts = [(info, *info.base_name.partition(".")[::2]) for info in listing if info.is_file]
        return [_Claim(token, state, info.mtime_ns) for info, token, state in parts if state in ("asking", "holding")]

    def _read(self, claim: _Claim) -> Owner | None:
        try:
            return Owner(**json.loads(self._folder.read_text(f"{claim.token}.{claim.state}")))
        except (OSError, TypeError, ValueError):  # withdrawn while it is read, or not ours
            return None

    def _write(self, state: str) -> None:
        self._folder.write_text(f"{self._token}.{state}", json.dumps(asdict(self._owner)))

    def _delete(self, token: str, state: str) -> None:
        with suppress(FileNotFoundError):
            self._folder.filesystem.delete_file(self._folder.child(f"{token}.{state}").path)


@contextmanager
def held(output: Location, heartbeat_s: float = HEARTBEAT_S, stale_s: float = STALE_S) -> Iterator[None]:
    """Hold `output`; a thread shows that this process is alive, and interrupts the main one when the folder was taken over.

    Raises: HeldError: when another process holds it; OcrrayError: when another took it over meanwhile; OSError: when the store
        cannot be reached.
    """
    lease = Lease(output, heartbeat_s, stale_s)
    lease.acquire()
    ended = threading.Event()
    thread = threading.Thread(target=_keep, args=(lease, ended), name="lease", daemon=True)
    thread.start()
    try:
        yield
    except KeyboardInterrupt:
        if lease.lost_to:
            raise OcrrayError(f"{output.uri} was taken over by {lease.lost_to}, as if this process were dead") from None
        raise
    finally:
        ended.set()
        thread.join(_RELEASE_S)


def _keep(lease: Lease, ended: threading.Event) -> None:
    with suppress(OSError, OcrrayError):  # a store that is away, also when the lease ends: then it becomes stale
        _beat(lease, ended)
        lease.release()


def _beat(lease: Lease, ended: threading.Event) -> None:
    while not ended.wait(lease.heartbeat_s):
        with suppress(OSError, OcrrayError):  # a later beat finds out whether somebody took the folder over
            lease.beat()
        if lease.lost_to:
            signal.pthread_kill(threading.main_thread().ident or 0, _interrupt_signal())
            return


def _interrupt_signal() -> signal.Signals:
    # SIGINT is ignored in background processes of a shell script; the command line has SIGTERM interrupt as well.
    interrupts = signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    return signal.SIGTERM if interrupts else signal.SIGINT
