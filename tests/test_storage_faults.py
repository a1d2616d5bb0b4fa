"""Faults of stores are waited out, and end a run when they last; only a fault of one file is an error of that file."""

import errno
import io
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from faulty_s3 import FaultyS3
from PIL import Image

from ocrray.errors import RecordError, StoreError
from ocrray.sources.input import InputConfig
from ocrray.sources.scans.pdf import count_pages
from ocrray.storage import Location, connections, faults, files
from ocrray.storage.faults import Fault, classify, retrying
from ocrray.verbs.restore.run import Thumbnails

MAX_BYTES = 1 << 20


@pytest.fixture(autouse=True)
def waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process waits for a store for a second, as in a run, and pyarrow asks it once instead of three times."""
    monkeypatch.setattr(faults, "_waiting", faults.Waiting(max_wait_s=1.0, denied_wait_s=1.0))
    monkeypatch.setattr(connections, "_ATTEMPTS", 1)
    connections.forget("s3://", "", "")


@pytest.fixture
def bucket(s3: FaultyS3) -> Iterator[Location]:
    """A folder with two files in an object store that fails on command."""
    for name in ("a.txt", "b.txt"):
        s3.client().put_object(Bucket=s3.bucket, Key=f"in/{name}", Body=b"text")
    yield Location.at(s3.uri(f"{s3.bucket}/in"))
    s3.fault = None


def aws(code: str, status: int = 0) -> OSError:
    with_status = f" (HTTP status {status})" if status else ""
    return OSError(
        f"When reading information for key 'k' in bucket 'b': AWS Error {code}{with_status} during HeadObject operation: m"
    )


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (aws("SLOW_DOWN"), Fault.PASSING),
        (aws("UNKNOWN", 503), Fault.PASSING),
        (aws("UNKNOWN", 500), Fault.PASSING),
        (aws("NETWORK_CONNECTION"), Fault.PASSING),
        (aws("UNKNOWN", 429), Fault.PASSING),
        (aws("ACCESS_DENIED"), Fault.DENIED),
        (aws("UNKNOWN", 400), Fault.DENIED),  # a HEAD with an expired token
        (aws("UNKNOWN (HTTP status 403) during PutObject operation: Unable to parse ExceptionName: ExpiredToken"), Fault.DENIED),
        (aws("NO_SUCH_BUCKET"), Fault.LASTING),
        (OSError("Bucket 'archive' not found. To create buckets, enable the allow_bucket_creation option."), Fault.LASTING),
        (aws("NO_SUCH_KEY"), Fault.OF_FILE),
        (OSError("google::cloud::Status(UNAVAILABLE: try again)"), Fault.PASSING),
        (OSError("google::cloud::Status(UNAUTHENTICATED: token)"), Fault.DENIED),
        *(
            (OSError(code, ""), Fault.PASSING)
            for code in (errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN)
        ),
        *((OSError(code, ""), Fault.LASTING) for code in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)),
        *((OSError(code, ""), Fault.OF_FILE) for code in (errno.ENOENT, errno.EACCES, errno.EISDIR, errno.ENAMETOOLONG)),
    ],
)
def test_error_of_a_file_operation_has_its_cause(error: OSError, fault: Fault):
    """Errors as pyarrow and the operating system raise them."""
    assert classify(error) is fault


def test_store_that_fails_for_a_while_is_waited_for(s3: FaultyS3, bucket: Location):
    """Reading, listing and writing get their result, without an error."""
    operations: list[Callable[[], object]] = [
        lambda: files.read_bytes(bucket.child("a.txt"), MAX_BYTES),
        lambda: bucket.files(".txt"),
        lambda: bucket.write_text("c.txt", "text"),
    ]
    for operation in operations:
        s3.fail_for(0.4, status=503)
        operation()

    assert s3.failed >= 3
    assert bucket.read_text("c.txt") == "text"


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500, "code": "InternalError"},
        {"status": 403, "code": "ExpiredToken", "message": "The token has expired."},
        {"reset": True},
    ],
)
def test_store_that_goes_on_failing_ends_the_run_in_one_line(s3: FaultyS3, bucket: Location, fault: dict[str, object]):
    """The error names the file and the cause, and the same command may go on later."""
    with s3.failing(**fault), pytest.raises(StoreError, match=f"{bucket.path}/a.txt: cannot be read") as caught:
        files.read_bytes(bucket.child("a.txt"), MAX_BYTES)

    assert caught.value.transient
    assert "\n" not in str(caught.value)


def test_reading_goes_on_where_the_connection_broke(s3: FaultyS3, bucket: Location):
    """A large file of which a part cannot be had at first is read to its end, with the right bytes."""
    data = os.urandom(1 << 20)
    s3.client().put_object(Bucket=s3.bucket, Key="in/large.bin", Body=data)

    with files.open_binary(bucket.child("large.bin")) as file:
        head = file.read(100_000)
        s3.fail_for(0.4, reset=True)
        rest = file.read()

    assert head + rest == data


def test_file_that_changes_while_it_is_read_is_an_error_of_the_file(s3: FaultyS3, bucket: Location):
    """The two halves of two versions are not put together."""
    s3.client().put_object(Bucket=s3.bucket, Key="in/large.bin", Body=b"x" * (1 << 20))
    with files.open_binary(bucket.child("large.bin")) as file:
        file.read(100_000)
        s3.client().put_object(Bucket=s3.bucket, Key="in/large.bin", Body=b"y" * 1000)
        s3.fail_for(0.3, status=503)
        with pytest.raises(OSError, match="was changed"):
            file.read()


def test_parquet_in_a_store_that_fails_now_and_then_is_written_and_read(s3: FaultyS3, bucket: Location):
    """Whatever goes through the file system of a Location is covered, as Parquet files are."""
    table = pa.table({"a": range(1000)})
    with s3.failing(status=503, every=3):
        pq.write_table(table, bucket.child("t.parquet").path, filesystem=bucket.filesystem)
        back = pq.read_table(bucket.child("t.parquet").path, filesystem=bucket.filesystem)

    assert back.equals(table)


@pytest.mark.usefixtures("bucket")
def test_credentials_that_are_renewed_are_picked_up(s3: FaultyS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The old key is refused from now on; a new one appears in the credentials file, and the process finds it."""

    def write_key(key: str) -> None:
        (tmp_path / "credentials").write_text(f"[default]\naws_access_key_id={key}\naws_secret_access_key=secret\n")

    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    write_key("OLD")
    place = Location.at(s3.uri(f"{s3.bucket}/in") + "&allow_bucket_creation=false").child("a.txt")  # a connection of its own
    assert files.read_bytes(place, MAX_BYTES) == b"text"
    with s3.failing(status=403, code="ExpiredToken", key="OLD"):
        threading.Timer(0.3, write_key, ("NEW",)).start()

        assert files.read_bytes(place, MAX_BYTES) == b"text"


def test_one_file_that_may_not_be_read_is_an_error_of_the_file(s3: FaultyS3, bucket: Location):
    """Others can be read with the same credentials, so nobody waits for new ones."""
    files.read_bytes(bucket.child("b.txt"), MAX_BYTES)
    begun = time.monotonic()
    with s3.failing(status=403, code="AccessDenied", match="*/a.txt"), pytest.raises(RecordError) as caught:
        files.read_hashed(bucket.child("a.txt"), MAX_BYTES)

    assert caught.value.kind == "read_error"
    assert time.monotonic() - begun < 1


def test_credentials_refused_while_planning_are_no_reason_to_wait(s3: FaultyS3, bucket: Location):
    """Nothing is done yet, and they may just be wrong."""
    faults.wait_briefly()
    begun = time.monotonic()
    with s3.failing(status=403, code="InvalidAccessKeyId"), pytest.raises(StoreError):
        bucket.files(".txt")

    assert time.monotonic() - begun < 1


@pytest.mark.parametrize("emptied", [True, False], ids=["empty mount point", "gone"])
def test_file_missing_with_all_its_folder_is_waited_for(tmp_path: Path, emptied: bool):
    """A share that is mounted again in time costs no record."""
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "a.txt").write_text("text")
    (tmp_path / "share").rename(tmp_path / "away")
    if emptied:
        (tmp_path / "share").mkdir()

    def mount() -> None:
        shutil.rmtree(tmp_path / "share", ignore_errors=True)
        (tmp_path / "away").rename(tmp_path / "share")

    threading.Timer(0.3, mount).start()

    assert files.read_hashed(Location.at(tmp_path / "share" / "a.txt"), MAX_BYTES)[0] == b"text"


def test_file_missing_with_all_its_folder_ends_the_run(tmp_path: Path):
    """A share that stays away is no reason to fail records."""
    with pytest.raises(StoreError, match="not mounted"):
        files.read_hashed(Location.at(tmp_path / "share" / "a.txt"), MAX_BYTES)


def test_file_missing_among_others_is_an_error_of_the_file(tmp_path: Path):
    """It was deleted, and the others were not."""
    (tmp_path / "b.txt").write_text("text")

    with pytest.raises(RecordError) as caught:
        files.read_hashed(Location.at(tmp_path / "a.txt"), MAX_BYTES)

    assert caught.value.kind == "missing"


def test_writing_where_the_share_is_gone_makes_no_folder_on_the_local_disk(tmp_path: Path):
    """What is written into an empty mount point would be hidden by the next mount."""
    with pytest.raises(StoreError, match="folder is gone"):
        Location.at(tmp_path / "share" / "out" / "data").write_text("part", "text")

    assert not (tmp_path / "share").exists()


def test_full_disk_ends_the_run_at_once():
    """Waiting does not help; the error is one line, and no record's."""

    def write() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StoreError, match="out/part: cannot be written: No space left on device") as caught:
        retrying(write, "out/part: cannot be written")

    assert not caught.value.transient


def test_bad_sector_is_an_error_of_the_file(monkeypatch: pytest.MonkeyPatch):
    """An input/output error that stays with one file, while others can be read."""
    monkeypatch.setattr(faults, "_BAD_SECTOR_WAIT_S", 0.3)

    def read() -> None:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        retrying(read, "scan: cannot be read", serves_others=lambda: True)
    with pytest.raises(StoreError):
        retrying(read, "scan: cannot be read", serves_others=lambda: False)


def test_waiting_for_a_store_is_told(monkeypatch: pytest.MonkeyPatch):
    """Who watches the run reads for what it waits."""
    lines: list[str] = []
    monkeypatch.setattr(faults, "_SILENT_S", 0.1)
    faults.wait_for_stores(0.6, lines.append)

    def stall() -> None:
        raise TimeoutError(errno.ETIMEDOUT, "timed out")

    with pytest.raises(StoreError):
        retrying(stall, "share: cannot be read")

    assert "share: cannot be read: timed out" in lines[0]


def test_pdf_whose_store_fails_is_not_taken_for_a_broken_one(s3: FaultyS3, bucket: Location):
    """PDFium calls back to read, and swallows the error."""
    page = bucket.child("page.pdf")
    data = io.BytesIO()
    Image.new("L", (600, 600), 255).save(data, "PDF")
    bucket.write_bytes("page.pdf", data.getvalue())
    assert count_pages(page.uri) == 1
    with s3.failing(status=503, methods=["GET"]), pytest.raises(StoreError):
        count_pages(page.uri)


def test_report_of_scans_whose_share_is_away_has_none_of_them(tmp_path: Path):
    """The corpus is whole; the share is waited for once, not once a scan."""
    thumbnail = Thumbnails(InputConfig(paths=["scans"]))
    begun = time.monotonic()

    assert [thumbnail(str(tmp_path / "share" / f"{number}.png"), 0) for number in range(5)] == [None] * 5
    assert time.monotonic() - begun < 2
