"""`engine: vlm`: any vision-language model of transformers (PaliGemma, GOT-OCR2, Qwen-VL, ...) as a recognizer.

`engine: vlm_padded` does the same with transformers' own `generate`: slower, the reference.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from PIL import Image
from pydantic import PositiveInt, model_validator

from ocrray.config import FolderOrName
from ocrray.decoding import Generation, ImageRequest
from ocrray.engines.base import EngineInfo, engine_errors
from ocrray.engines.reader import SCHEMA_MARK, PerThread, Reader, ReaderConfig, SecondEngine
from ocrray.engines.server.answers import Answer
from ocrray.engines.tesseract import TesseractConfig
from ocrray.errors import EngineError, Problems, RecordError
from ocrray.models.folders import adapter_problems, warn_of_another_base, weights_revision
from ocrray.models.loading import Device, Dtype
from ocrray.models.vision.checks import vision_problems
from ocrray.models.vision.formats import PromptFormat

if TYPE_CHECKING:
    from ocrray.decoding.images import ImageDecoder

DEFAULT_FOLDER = Path(__file__).parents[1] / "models" / "default_reader"
_PROBE_PX = 64
_MIN_ANSWER_TOKENS = 16
_GOT_MARKDOWN = "OCR with format: "
_CHAT_ASKED = {
    "markdown": "Transcribe this page as Markdown. Answer with the Markdown and nothing else.",
    "json": f"Write what this document says as one JSON object of this JSON Schema, and nothing else: {SCHEMA_MARK}",
}


class VlmConfig(ReaderConfig):
    """Load a vision-language model and read pages with it, greedily."""

    rows_per_block: ClassVar[int] = 16
    uses_gpu: ClassVar[bool] = True

    engine: Literal["vlm", "vlm_padded"]
    """`vlm` reads many pages at once; `vlm_padded` uses transformers' `generate` in batches: the same text, slower."""
    model: FolderOrName = "default"
    """`default` (ships with ocrray: reads images of one printed line), a folder or a hub id; safetensors only."""
    revision: str | None = None
    """Git revision on the hub; null: main."""
    adapter: FolderOrName | None = None
    """PEFT adapter: a folder or a hub id; safetensors only. `vlm` merges it into the model when it loads. Null: none."""
    prompt: PromptFormat = "auto"
    """Text around image and instruction, character for character as the model was trained: `paligemma`; `got`, `got_original`,
    `got_swift` of GOT-OCR2 (by transformers, its authors, ms-swift); `chat`, the model's chat template. auto: by its type."""
    crop_to_patches: bool = False
    """Show a large page as patches besides the whole, where the model's processor can (GOT-OCR2)."""
    max_patches: PositiveInt = 12
    """Most patches of one page."""
    draft: SecondEngine | None = None
    """Engine whose text drafts the answer, which is then checked many tokens at a time: the same text sooner, and only with
    `engine: vlm`. `tesseract`, or its mapping with `languages` and so on; null: none."""
    dtype: Dtype = "auto"
    """Number format of the weights; auto: float32 on a CPU, the checkpoint's own on a GPU."""
    device: Device = "auto"
    """Where to compute; auto: the worker's GPU if it has one."""
    batch_size_tokens: PositiveInt | None = None
    """Prompt and output tokens held at once. Null: as many as fit in memory (`vlm`), or 16,384 (`vlm_padded`)."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model."""

    @model_validator(mode="after")
    def _asks_as_trained(self) -> Self:
        if self.output == "json" and self.instruction is None and self.prompt != "chat":
            raise ValueError("instruction: the one that the model was trained with must be said for output: json")
        if self.draft and (self.engine != "vlm" or self.output == "json"):
            raise ValueError("draft: only with engine: vlm, and where pages become text")
        return self

    @property
    def location(self) -> str:
        """Folder or hub id to load from."""
        return str(DEFAULT_FOLDER) if self.model == "default" else self.model

    @property
    def max_concurrent_batches(self) -> int:
        # With several batches, images are opened while others are read, and a page that ends makes room for one of another.
        return 4 if self.engine == "vlm" else 1

    @property
    def prompt_name(self) -> str:
        return self.prompt

    @property
    def second_engines(self) -> dict[str, TesseractConfig]:
        return super().second_engines | ({"draft": self.draft} if self.draft else {})

    def check(self, section: str) -> EngineInfo:
        problems = Problems(f"{section}.model: {problem}" for problem in vision_problems(self.location))
        if self.adapter is not None:
            problems += [f"{section}.adapter: {problem}" for problem in adapter_problems(self.adapter)]
            warn_of_another_base(self.adapter, self.location)
        problems += self.problems_of_second_engines(section)
        problems.raise_if_any()
        return EngineInfo(
            engine=self.engine,
            model=self.model,
            revision=weights_revision(self.location, self.revision),
            adapter=f"{self.adapter}@{weights_revision(self.adapter)}" if self.adapter else "",
            prompt_version=self.prompt_version(),
        )

    def open(self) -> "VlmReader":
        return VlmReader(self)


class VlmReader(Reader):
    """Reads pages with a loaded model; several threads may call it at once, and are decoded together."""

    def __init__(self, config: VlmConfig) -> None:
        from ocrray.decoding.images import open_vision_decoder
        from ocrray.models.vision.loading import load_vision_model

        super().__init__(config)
        self.info = config.check("recognize")
        self._config = config
        self._draft = PerThread(config.draft) if config.draft else None
        with engine_errors(f"{config.model} cannot be loaded"):
            self._model = load_vision_model(
                config.location,
                revision=config.revision,
                adapter=config.adapter,
                merge_adapter=config.engine == "vlm",
                dtype=config.dtype,
                device=config.device,
                prompt_format=config.prompt,
                crop_to_patches=config.crop_to_patches,
                max_patches=config.max_patches,
                trust_remote_code=config.trust_remote_code,
            )
            self._encoder = self._model.encoder
            self._asked = config.asked(_default_instruction(config, self._encoder.format, self._encoder.default_instruction))
            # A processor that can prepare no image at all must end the run here, and not each page by itself later.
            self._encoder.encode_prompt(Image.new("RGB", (_PROBE_PX, _PROBE_PX), "white"), self._asked)
            self._decoder: ImageDecoder = open_vision_decoder(
                self._model, padded=config.engine == "vlm_padded", batch_size_tokens=config.batch_size_tokens
            )

    def answers(self, images: Sequence[Image.Image]) -> list[Answer | RecordError]:
        """Return what the model writes; the reason is `unfinished` where its answer reached its limit.

        A page whose image leaves no room for an answer is `too_long`, one that cannot be prepared `bad_image`.
        """
        requests = [self._request(image) for image in images]
        to_read = [request for request in requests if isinstance(request, ImageRequest)]
        with engine_errors("reading failed"):
            written = iter(self._decoder.generate(to_read) if to_read else ())
            return [self._answer(one, next(written)) if isinstance(one, ImageRequest) else one for one in requests]

    def close(self) -> None:
        """Release the model's memory, and end the processes of draft and fallback."""
        self._decoder.close()
        if self._draft:
            self._draft.close()
        super().close()
        del self._model, self._decoder

    def _request(self, image: Image.Image) -> ImageRequest | RecordError:
        try:
            prompt = self._encoder.encode_prompt(image, self._asked)
        except RecordError as error:
            return error
        context = self._model.context_tokens
        room = self._config.max_new_tokens if context is None else min(self._config.max_new_tokens, context - len(prompt.ids))
        request = ImageRequest(prompt, room, self._drafted(image))
        if room < min(_MIN_ANSWER_TOKENS, self._config.max_new_tokens) or not self._decoder.fits(request):
            return RecordError(f"an image of {len(prompt.ids):,} tokens leaves no room for an answer", kind="too_long")
        return request

    def _drafted(self, image: Image.Image) -> list[int]:
        """Return the tokens of the draft; none where its engine cannot read the page."""
        if not self._draft:
            return []
        try:
            lines = self._draft.engine().recognize(image)
        except RecordError:
            return []
        return self._encoder.encode_text("\n".join(line.text for line in lines))

    def _answer(self, request: ImageRequest, written: Generation) -> Answer | RecordError:
        if written.refused:
            return RecordError("the page does not fit the memory", kind="too_long")
        tokens = written.tokens
        counts = (len(request.prompt.ids), len(tokens) + written.finished)
        text = self._encoder.decode(tokens)
        if not written.finished:
            return Answer(None, "unfinished", "", *counts, partial=text)
        shown = {token: self._encoder.decode([token]) or "\ufffd" for token in set(tokens)}
        return Answer(text, "", "", *counts, [shown[token] for token in tokens], written.probabilities)


def _default_instruction(config: VlmConfig, prompt_format: str, plain: str) -> str:
    """Return what a model of this format is asked for the config's output; `plain` asks it for plain text.

    Raises:
        EngineError: when its format has no request for that output.
    """
    if config.instruction is not None or config.output == "text":
        return plain
    if prompt_format == "chat":
        return _CHAT_ASKED[config.output]
    if prompt_format.startswith("got") and config.output == "markdown":
        return _GOT_MARKDOWN
    raise EngineError(f"no instruction is known for output: {config.output} of this model: set instruction")
