"""`engine: http` of `recognize:`: a vision-language model behind any OpenAI-style server (vLLM, transformers serve, ...)."""

import base64
import io
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

from PIL import Image
from pydantic import Field, model_validator

from ocrray.engines.base import EngineInfo
from ocrray.engines.reader import SCHEMA_MARK, Reader, ReaderConfig
from ocrray.engines.server.answers import Answer
from ocrray.engines.server.client import Client, Request
from ocrray.engines.server.config import PATIENCE_KEYS, ServerConfig
from ocrray.errors import Problems, RecordError
from ocrray.models.vision.images import to_rgb

_JPEG_QUALITY = 95
_ASKED = {
    "text": "Transcribe the text in this image line by line, as it is printed. Answer with the text and nothing else.",
    "markdown": "Transcribe this page as Markdown, as it is printed. Answer with the Markdown and nothing else.",
    "json": "Write what this document says as one JSON object of the JSON Schema below. Leave out what it does not say, and "
    f"answer with the JSON and nothing else.\n\n{SCHEMA_MARK}",
}


class HttpReaderConfig(ReaderConfig, ServerConfig):
    """Show each page to a vision-language model on a server."""

    rows_per_block: ClassVar[int] = 32
    pages_at_once: ClassVar[int] = 16
    without_effect: ClassVar[frozenset[str]] = PATIENCE_KEYS

    engine: Literal["http"]
    max_side_px: int = Field(default=4_000, ge=64, le=16_000)
    """Longest side of the image that is sent, in pixels; larger pages are reduced to it."""

    @model_validator(mode="after")
    def _images_are_for_chats(self) -> Self:
        if self.api != "chat":
            raise ValueError("api: images are sent as messages: api: chat")
        return self

    @property
    def max_concurrent_batches(self) -> int:
        return 2  # one is opened and sent while the other's last pages are read

    def check(self, section: str) -> EngineInfo:
        Problems([*self.problems(section), *self.problems_of_second_engines(section)]).raise_if_any()
        return EngineInfo("http", self.model, prompt_version=self.prompt_version())

    def open(self) -> "HttpReader":
        return HttpReader(self)


class HttpReader(Reader):
    """Sends each page as a request of its own, `concurrency` at a time."""

    def __init__(self, config: HttpReaderConfig) -> None:
        super().__init__(config)
        self.info = config.check("recognize")
        self._config = config
        self._asked = config.asked(_ASKED[config.output])
        self._client = Client(config, Request("Answer with one word: yes.", 16), "recognize", "max_new_tokens")

    def answers(self, images: Sequence[Image.Image]) -> list[Answer | RecordError]:
        """Return the answers of the server; reasons are those of `Client.answer`."""
        return [*self._client.answers(self._request(image) for image in images)]

    def close(self) -> None:
        """Wait for requests in flight, close the connections, and end the processes of the fallback."""
        self._client.close()
        super().close()

    def _request(self, image: Image.Image) -> Request:
        picture = {"type": "image_url", "image_url": {"url": data_url(image, self._config.max_side_px)}}
        content = [picture, {"type": "text", "text": self._asked}]
        return Request([{"role": "user", "content": content}], self._config.max_new_tokens)


def data_url(image: Image.Image, max_side_px: int) -> str:
    """Return the image as a `data:` URL, a PNG if it has two colours and else a JPEG, with no side over `max_side_px`."""
    if max(image.size) > max_side_px:
        image = image.convert("L") if image.mode == "1" else to_rgb(image)
        image = image.copy()
        image.thumbnail((max_side_px, max_side_px))
    kind = "PNG" if image.mode == "1" else "JPEG"
    data = io.BytesIO()
    if kind == "PNG":
        image.save(data, kind)
    else:
        picture = image if image.mode == "L" else to_rgb(image)
        picture.save(data, kind, quality=_JPEG_QUALITY, subsampling=0)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(data.getvalue()).decode()}"
