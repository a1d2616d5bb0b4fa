"""Errors travel between Ray's processes."""

import pickle

import pytest

from ocrray.errors import ConfigError, EngineError, RecordError, StoreError

ERRORS = [
    (ConfigError("a\nb"), {}),
    (RecordError("bad page", kind="truncated"), {"kind": "truncated"}),
    (EngineError("down", transient=True), {"transient": True}),
    (StoreError("disk full", transient=False), {"transient": False}),
]


@pytest.mark.parametrize(("error", "fields"), ERRORS)
def test_error_pickled_keeps_message_and_fields(error: Exception, fields: dict[str, object]):
    """What a worker raised is what the driver sees."""
    back = pickle.loads(pickle.dumps(error))

    assert (type(back), str(back), vars(back)) == (type(error), str(error), fields)
