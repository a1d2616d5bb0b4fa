"""Connections of this process to object stores."""

from functools import lru_cache
from urllib.parse import parse_qsl

from pyarrow import fs

from ocrray.errors import RecordError

_REQUEST_TIMEOUT_S, _CONNECT_TIMEOUT_S = 20.0, 5.0  # of pyarrow 3 and 1: a busy store is slower, and every retry adds to it
_ATTEMPTS = 3  # by default pyarrow asks 31 times: Ctrl-C would wait for 100 s; `faults.retrying` asks again
_GCS_OPTION = "retry_limit_seconds=30"  # by default its client retries by itself for 15 minutes
_FLAGS = ("allow_bucket_creation", "allow_bucket_deletion")
_S3_OPTIONS = {"region", "scheme", "endpoint_override", *_FLAGS}


def connect(prefix: str, bucket: str, query: str) -> fs.FileSystem:
    """Return the file system of a bucket; `prefix` is `s3://` or `gs://`, `query` empty or the options in a URI with their `?`.

    Raises: OSError: when the store cannot be reached; RecordError: `bad_path` for options that are not known.
    """
    return _connect(prefix, bucket, query)


def forget(prefix: str, bucket: str, query: str) -> None:  # noqa: ARG001 - one cache
    """Connect anew the next time, with the credentials that are found then."""
    _connect.cache_clear()


@lru_cache(maxsize=64)
def _connect(prefix: str, bucket: str, query: str) -> fs.FileSystem:
    options = dict(parse_qsl(query.removeprefix("?"), keep_blank_values=True))
    try:
        if prefix == "s3://" and options.keys() <= _S3_OPTIONS:
            return _s3(bucket, options)
        if prefix.startswith("gs://") and "retry_limit_seconds" not in options:
            return fs.FileSystem.from_uri(f"{prefix}{bucket}{query}{'&' if query else '?'}{_GCS_OPTION}")[0]
        return fs.FileSystem.from_uri(f"{prefix}{bucket}{query}")[0]
    except ValueError as error:
        problem = f"{prefix}{bucket}{query}: {' '.join(str(error).split())} (a `?` in a key is written %3F)"
        raise RecordError(problem, kind="bad_path") from None


def _s3(bucket: str, options: dict[str, str]) -> fs.FileSystem:
    region = options.get("region")
    if region is None and "endpoint_override" not in options:
        region = fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(
        region=region,
        scheme=options.get("scheme"),
        endpoint_override=options.get("endpoint_override"),
        request_timeout=_REQUEST_TIMEOUT_S,
        connect_timeout=_CONNECT_TIMEOUT_S,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
        allow_delayed_open=True,  # small files are one PUT instead of the three requests of a multipart upload
        **{flag: options.get(flag, "").lower() in ("1", "true") for flag in _FLAGS},
    )
