"""Values of a JSON file that is no JSON lines: those of an array, or one after the other, over as many lines as they take."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from ocrray.errors import RecordError
from ocrray.sources.streams import TextEncoding
from ocrray.sources.text_files import MAX_LINE_BYTES

_SPACE = re.compile(r"[\s,\x1e\ufeff]*")
_SURROGATES = re.compile("[\ud800-\udfff]")
_BLOCK_BYTES = 1 << 22
_DECODER = json.JSONDecoder()
_NEAR_END = 12  # an escape cut off at the end of the text that is there


class JsonValue(NamedTuple):
    """One value: an object, or a problem; `text` is its JSON."""

    value: dict[str, Any] | RecordError
    text: str = ""
    is_last: bool = False
    """The rest of the file is lost with it."""


class JsonValues:
    """Iterator over the values; the elements of a top-level array count one by one. A value that is broken is one problem."""

    def __init__(self, stream: BinaryIO, encoding: TextEncoding) -> None:
        self._stream, self._encoding = stream, encoding
        self._decoder = codecs.getincrementaldecoder(encoding.name)(errors="surrogateescape")
        self._text, self._at, self._is_whole = "", 0, False
        self._line = 1
        self._in_array = False
        self._indent: int | None = None  # of the first value, in letters
        self.has_array = False
        """An array was met."""

    def __iter__(self) -> Iterator[JsonValue]:
        while self._skip_to_value():
            if (found := self._next_value()) is not None:
                yield found
                if found.is_last:
                    return
        if self._in_array:
            message = f"the JSON array is not closed at the end of the file, line {self._line}: its last values may be missing"
            yield JsonValue(RecordError(message, kind="bad_table"), is_last=True)

    def _skip_to_value(self) -> bool:
        """Move to the next value, through white space, commas and the brackets of an array; return False at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            assert match is not None
            self._move_to(match.end())
            if self._at == len(self._text):
                if not self._fill():
                    return False
            elif self._text[self._at] == "[" and not self._in_array:
                self._in_array = self.has_array = True
                self._at += 1
            elif self._text[self._at] == "]" and self._in_array:
                self._in_array = False
                self._at += 1
            else:
                if self._indent is None:
                    self._indent = self._at - self._text.rfind("\n", 0, self._at) - 1
                return True

    def _next_value(self) -> JsonValue:
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except RecursionError as err:
                return self._broken(str(err))
            except json.JSONDecodeError as err:
                if self._may_go_on(err) and self._fill():
                    continue
                return self._broken(f"{err.msg} in line {self._line + self._text.count(chr(10), self._at, err.pos)}")
            if end == len(self._text) and not isinstance(value, dict | list | str) and self._fill():
                continue  # a number may go on
            return self._found(value, end)

    def _may_go_on(self, err: json.JSONDecodeError) -> bool:
        is_cut = err.msg.startswith("Unterminated string") or err.pos >= len(self._text) - _NEAR_END
        return is_cut and len(self._text) - self._at <= MAX_LINE_BYTES

    def _found(self, value: Any, end: int) -> JsonValue:
        text = self._text[self._at : end]
        line = self._line
        self._move_to(end)
        if not text.isascii() and _SURROGATES.search(text):
            problem = f"the value in line {line} is not {self._encoding.name}; {self._encoding.advice}"
            return JsonValue(RecordError(problem, kind="bad_encoding"))
        if not isinstance(value, dict):
            problem = f"the value in line {line} is a {type(value).__name__}, not an object"
            return JsonValue(RecordError(problem, kind="bad_json"))
        return JsonValue(value, text)

    def _broken(self, reason: str) -> JsonValue:
        """Move to the next line that begins a value as the first did, and return the problem; without one all else is lost."""
        first, indent = self._line, self._indent or 0
        following = re.compile(rf"\n[ \t]{{0,{indent}}}(?=\{{)")
        while (match := following.search(self._text, self._at)) is None:
            if not self._fill(keep=indent + 2):
                problem = f"the value that begins in line {first} is not JSON: {reason}"
                return JsonValue(RecordError(problem, kind="bad_table"), is_last=True)
        self._move_to(match.end())
        problem = f"the value that begins in line {first} is not JSON: {reason}; reading goes on in line {self._line}"
        return JsonValue(RecordError(problem, kind="bad_json"))

    def _move_to(self, at: int) -> None:
        self._line += self._text.count("\n", self._at, at)
        self._at = at

    def _fill(self, keep: int | None = None) -> bool:
        """Read on, and drop the text before the current place, or, with `keep`, all but so many letters; False at the end."""
        if self._is_whole:
            return False
        left = len(self._text) - self._at
        self._move_to(len(self._text) - min(left, left if keep is None else keep))
        block = self._stream.read(max(_BLOCK_BYTES, len(self._text) - self._at))
        self._is_whole = not block
        more = self._decoder.decode(block, final=not block)
        self._text, self._at = self._text[self._at :] + more, 0
        return bool(block or more)
