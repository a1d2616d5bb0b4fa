"""Files are found, named and read the same way on a disk and in an object store (moto's server stands in for S3)."""

import os
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from urllib.parse import quote

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer
from PIL import Image

from ocrray.errors import ConfigError, RecordError
from ocrray.sources.input import InputConfig
from ocrray.sources.open_page import open_image
from ocrray.sources.seen import SeenKeys
from ocrray.sources.streams import TextEncoding
from ocrray.sources.text_files import read_text_file
from ocrray.sources.walk import Walk
from ocrray.sources.worklist import list_records
from ocrray.storage import Location, files

TREE = ["a.txt", "b.TXT", "deep/er/c.txt", "deep/d.txt", "deep/mets.xml", "deep/a.xml", "e [1].txt", ".hidden.txt", ".git/x.txt"]


def found(*paths: str) -> list[str]:
    return [file.name for batch in Walk(list(paths)).batches(Counter()) for file in batch]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the files of TREE in it."""
    for name in TREE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """Query options that lead to a bucket called `scans` holding TREE below `old/`, and keys that need encoding."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
    previous = {name: os.environ.get(name) for name in keys}
    os.environ.update(keys)
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
    client.create_bucket(Bucket="scans")
    for name in [*TREE, "100%/ä b#1.txt"]:
        client.put_object(Bucket="scans", Key=f"old/{name}", Body=name.encode())
    yield f"?endpoint_override={host}:{port}&scheme=http&region=us-east-1"
    server.stop()
    for name, value in previous.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("a.txt", ["a.txt"]),
        ("./a.txt", ["a.txt"]),
        ("deep", ["deep/mets.xml", "deep/a.xml", "deep/d.txt", "deep/er/c.txt"]),
        (".", ["a.txt", "b.TXT", "e [1].txt", "deep/mets.xml", "deep/a.xml", "deep/d.txt", "deep/er/c.txt"]),
        ("*.txt", ["a.txt", "e [1].txt"]),
        ("**/*.txt", ["a.txt", "e [1].txt", "deep/d.txt", "deep/er/c.txt"]),
        ("**/er/*", ["deep/er/c.txt"]),
        ("deep/**", ["deep/mets.xml", "deep/a.xml", "deep/d.txt", "deep/er/c.txt"]),
        ("d*/*/?.txt", ["deep/er/c.txt"]),
        ("*/[de].txt", ["deep/d.txt"]),
        ("e [1].txt", ["e [1].txt"]),
        (".hid*", [".hidden.txt"]),
        (".git/*", [".git/x.txt"]),
    ],
)
def test_walk_paths_name_files_folders_and_globs(tree: Path, path: str, names: list[str]) -> None:
    """Files keep the name the user gave them, come in a stable order (a METS first), and hidden ones are left out."""
    assert found(path) == names
    assert found(f"{tree}/{path}") == [os.path.normpath(f"{tree}/{name}") for name in names]


@pytest.mark.usefixtures("tree")
def test_walk_same_glob_finds_the_same_files_in_an_object_store(bucket: str) -> None:
    """A bucket is walked like a folder."""
    for pattern in ("", "/*.txt", "/**/*.txt", "/*/[de].txt", "/**/er/*"):
        local = found(f".{pattern}" if pattern else ".")
        remote = [name.removeprefix("s3://scans/old/") for name in found(f"s3://scans/old{pattern}{bucket}")]
        assert [name for name in remote if not name.startswith("100%")] == local


def test_walk_object_store_uri_reads_back(bucket: str) -> None:
    """A URI with its query options and odd characters in the key opens the file again."""
    (file,) = (file for batch in Walk([f"s3://scans/old/100%25/*{bucket}"]).batches(Counter()) for file in batch)
    assert file.name == "s3://scans/old/100%/ä b#1.txt"
    assert read_text_file(file.location.uri, TextEncoding(), 1000) == "100%/ä b#1.txt"
    assert files.stat(Location.at(file.location.uri)) == file.stat
    (table,) = list_records(InputConfig(paths=[f"s3://scans/old/a.txt{bucket}"]), images=False)
    (row,) = table.to_pylist()
    assert row["text"] == "a.txt"
    assert row["record_id"] == "s3://scans/old/a.txt#0"
    assert row["uri"] == f"s3://scans/old/a.txt{bucket}"


def test_list_records_object_store_scans_are_counted_and_open(bucket: str, tmp_path: Path) -> None:
    """Pages of a TIFF and a PDF in a bucket are counted and opened like those on a disk; ground truth beside them is found."""
    names = {"book.tif": [50, 60], "book.pdf": [72, 75, 96], "page.png": [40]}
    client = boto3.client("s3", endpoint_url="http://" + bucket.partition("=")[2].partition("&")[0])
    for name, widths in names.items():
        first, *others = [Image.new("L", (width, 40)) for width in widths]
        first.save(tmp_path / name, **({"save_all": True, "append_images": others} if others else {}), resolution=300)
        client.upload_file(str(tmp_path / name), "scans", f"new/{name}")
    client.put_object(Bucket="scans", Key="new/page.gt.txt", Body=b"truth")
    (table,) = list_records(InputConfig(paths=[f"s3://scans/new{bucket}"]), images=True)
    rows = table.to_pylist()
    assert [row["record_id"] for row in rows] == [
        f"s3://scans/new/{name}#{page}" for name in sorted(names) for page in range(len(names[name]))
    ]
    assert rows[-1]["ground_truth"] == "truth"
    sizes = [open_image(row["uri"], row["page"], max_pixels=10_000, max_file_bytes=100_000)[0].width for row in rows]
    assert sizes == pytest.approx([width for name in sorted(names) for width in names[name]], abs=1)
    with pytest.raises(RecordError) as error:
        open_image(f"s3://scans/new/none.png{bucket}", max_pixels=10_000, max_file_bytes=10_000)
    assert error.value.kind == "missing"


@pytest.mark.usefixtures("tree")
def test_walk_list_file_names_files_line_by_line() -> None:
    """A list may hold blank lines and Windows line ends; a file that is not there is found as missing."""
    Path("list.txt").write_bytes(b"\xef\xbb\xbfa.txt\r\n\r\ndeep/d.txt\nnowhere.txt\ndeep\n")
    listed = [file for batch in Walk(["@list.txt"]).batches(Counter()) for file in batch]
    assert [file.name for file in listed] == ["a.txt", "deep/d.txt", "nowhere.txt", "deep"]
    assert [getattr(file.stat, "kind", None) for file in listed] == [None, None, "missing", "not_a_file"]


def test_walk_paths_that_match_nothing_are_all_reported(tree: Path, bucket: str) -> None:
    """One message lists every path that names nothing, before anything is read."""
    (tree / "empty").mkdir()
    bad = [
        "nowhere",
        "*.tif",
        "nowhere/*.txt",
        "empty",
        "@nolist.txt",
        f"s3://scans/none{bucket}",
        "ftp://x/y",
        "s3://key:secret@b/x",
        "s3://b/x?no=1",
    ]
    with pytest.raises(ConfigError) as error:
        Walk(["a.txt", *bad])
    lines = str(error.value).splitlines()
    assert len(lines) == len(bad)
    assert "secret" not in str(error.value)


def test_walk_circular_links_end(tree: Path) -> None:
    """`**` does not follow a link to a folder, which may lead round in circles; it is counted."""
    (tree / "deep/back").symlink_to(tree)
    skipped: Counter[str] = Counter()
    names = [file.name for batch in Walk(["**/*.txt"]).batches(skipped) for file in batch]
    assert names == ["a.txt", "e [1].txt", "deep/d.txt", "deep/er/c.txt"]
    assert skipped["linked_folder"] == 1
    assert found("deep/*/*.txt") == ["deep/back/a.txt", "deep/back/e [1].txt", "deep/er/c.txt"]


def test_walk_file_name_that_is_not_utf8_is_a_problem_of_its_own(tree: Path) -> None:
    """Such a name could not be written into the corpus."""
    os.close(os.open(os.fsencode(tree) + b"/deep/\xff.txt", os.O_CREAT))
    os.close(os.open(os.fsencode(tree) + b"/deep/\xfe.txt", os.O_CREAT))
    listed = [file for batch in Walk(["deep/*.txt"]).batches(Counter()) for file in batch]
    assert [getattr(file.stat, "kind", None) for file in listed] == [None, "bad_path", "bad_path"]
    assert len({file.name.encode() for file in listed}) == 3


@pytest.mark.parametrize("depth", [400])
def test_walk_deep_folders_are_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: int) -> None:
    """Folders nested hundreds deep do not exhaust the stack."""
    monkeypatch.chdir(tmp_path)
    folder = Path("/".join(["d"] * depth))
    folder.mkdir(parents=True)
    (folder / "a.txt").touch()
    assert found("**/*.txt") == [f"{folder}/a.txt"]


def test_read_bytes_reads_at_most_the_limit(tmp_path: Path) -> None:
    """A file one byte over the limit is an error, and so is an empty one."""
    path = tmp_path / "file"
    for size, kind in ((10, None), (11, "too_large"), (0, "empty_file")):
        path.write_bytes(b"x" * size)
        if kind is None:
            assert files.read_bytes(Location.at(str(path)), 10) == b"x" * 10
            continue
        with pytest.raises(RecordError) as error:
            files.read_bytes(Location.at(str(path)), 10)
        assert error.value.kind == kind


@given(
    parts=st.lists(st.lists(st.sampled_from(["a", "%41", "%", "?x=1", "?", "#", " ", "ä", "+", "\n", "&", "..."]), min_size=1)),
    query=st.sampled_from(["", "?region=x&scheme=http"]),
)
def test_location_of_an_object_store_survives_its_uri(parts: list[list[str]], query: str) -> None:
    """Any key, with any characters, is the same after it was written as a URI and read back."""
    location = Location("s3://", "/".join(["bucket", *map("".join, parts)]), query)
    assert Location.at(location.uri) == location


@given(path=st.text(st.characters(exclude_characters="\0", exclude_categories=())))
def test_location_of_a_local_file_survives_its_uri(path: str) -> None:
    """So does any local path, with `?`, `%` and `~`, and bytes that are no UTF-8."""
    location = Location.at(f"./{path}")
    assert location.is_local
    assert Location.at(location.uri) == location


@given(key=st.text(st.characters(exclude_characters="%?/", codec="utf-8"), min_size=1).filter(lambda key: key not in (".", "..")))
def test_location_takes_a_key_that_is_not_encoded(key: str) -> None:
    """A user may write `ä` and a space as they are, or encoded."""
    assert Location.at(f"s3://bucket/{key}") == Location.at(f"s3://bucket/{quote(key)}") == Location("s3://", f"bucket/{key}")


@pytest.mark.parametrize(
    ("text", "key"),
    [("50%", "50%"), ("50%25", "50%"), ("what?", "what?"), ("what?.txt", "what?.txt"), ("a%3Fb=c", "a?b=c"), ("a//", "a")],
)
def test_location_takes_a_key_as_it_is_where_that_is_unambiguous(text: str, key: str) -> None:
    """A `%` or `?` has a meaning only where an escape or options follow."""
    assert Location.at(f"s3://bucket/{text}") == Location("s3://", f"bucket/{key}")


@pytest.mark.parametrize(
    "uri", ["s3://bucket//x", "s3://bucket/a//x", "s3://bucket/../x", "s3://bucket/a/./x", "s3:///x", "s3://"]
)
def test_location_that_pyarrow_would_read_elsewhere_is_refused(uri: str) -> None:
    """Its HTTP client resolves `..`: what is written to `a/../x` would be found as `x`."""
    with pytest.raises(RecordError) as error:
        Location.at(uri)
    assert error.value.kind == "bad_path"


def test_location_expands_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In outputs as in inputs, as a shell does."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Location.at("~/out") == Location.at(tmp_path / "out")


ODD_KEYS = [
    "/lead.txt",
    "//lead.txt",
    "x//a.txt",
    "x/../b.txt",
    "x/./c.txt",
    "x/y/../../d.txt",
    "x/y//.hidden",
    "x/z.txt",
    "x/y/é ?%.txt",
]


@pytest.mark.timeout(60)
def test_walk_object_store_reads_or_counts_every_key(bucket: str) -> None:
    """Keys that pyarrow cannot open are counted; they neither stop the walk, nor make it go round for ever, nor vanish."""
    client = boto3.client("s3", endpoint_url="http://" + bucket.partition("=")[2].partition("&")[0])
    client.create_bucket(Bucket="odd-keys")
    for key in ODD_KEYS:
        client.put_object(Bucket="odd-keys", Key=key, Body=b"text")
    skipped: Counter[str] = Counter()
    (batch,) = Walk([f"s3://odd-keys{bucket}"]).batches(skipped)
    assert [file.name for file in batch] == ["s3://odd-keys/x/z.txt", "s3://odd-keys/x/y/é ?%.txt"]
    assert all(files.read_bytes(file.location, 10) == b"text" for file in batch)
    assert skipped == {"unreadable_key": 7}
    assert found(f"s3://odd-keys/x/*.txt{bucket}") == ["s3://odd-keys/x/z.txt"]


def test_walk_leaves_out_outputs_of_runs_below_the_input(tree: Path) -> None:
    """A folder that a run writes to, finished or not, is an input only where its name, or that of a folder in it, is given."""
    for name in ("runs/one/_run.json", "runs/one/README.md", "runs/one/data/part.parquet", "deep/two/_work_list/rows.parquet"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name)
    skipped: Counter[str] = Counter()
    names = {file.name for batch in Walk(["."]).batches(skipped) for file in batch}
    assert names == {name for name in TREE if not name.startswith(".")}
    assert skipped["output_folder"] == 2
    assert found("runs/*/data/*") == ["runs/one/data/part.parquet"]
    assert "runs/one/README.md" in found("runs/one")


def test_parse_keys_in_a_uri_are_refused() -> None:
    """They would be written into every row of the corpus; an anonymous user is no key."""
    with pytest.raises(RecordError) as error:
        Location.at("s3://key:secret@bucket/x")
    assert error.value.kind == "bad_path"
    assert "secret" not in str(error.value)
    assert Location.at("gs://anonymous@bucket/x").uri == "gs://anonymous@bucket/x"


def test_read_bytes_named_pipe_does_not_hang(tmp_path: Path) -> None:
    """Opening a pipe that nobody writes to would wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RecordError) as error:
        files.read_bytes(Location.at(str(tmp_path / "pipe")), 10)
    assert error.value.kind == "not_a_file"


@given(batches=st.lists(st.lists(st.text(max_size=3))))
def test_seen_agrees_with_a_set(batches: list[list[str]]) -> None:
    """The first time of each key, in whatever batches they come."""
    seen, known = SeenKeys(), set()
    for batch in batches:
        assert seen.contains(batch).tolist() == [key in known for key in batch]
        expected = []
        for key in batch:
            expected.append(key not in known)
            known.add(key)
        assert seen.add(batch).tolist() == expected


def test_seen_many_keys_in_small_batches_are_all_remembered() -> None:
    """A hundred thousand keys, given a thousand at a time."""
    seen = SeenKeys()
    keys = ["".join(letters) for letters in product("abcdefghij", repeat=5)]
    for start in range(0, len(keys), 1000):
        assert seen.add(keys[start : start + 1000]).all()
    assert not seen.add(keys).any()
