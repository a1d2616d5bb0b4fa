"""Config section `corrupt` of `synthesize`: a language model is asked to corrupt clean text as OCR does."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, field_validator, model_validator

from ocrray.config import StrictModel
from ocrray.engines.base import EngineInfo
from ocrray.engines.server.config import ServerConfig
from ocrray.engines.writers import LoadedModelConfig, LoadedWriter, ServerWriter, Writer
from ocrray.errors import ConfigError
from ocrray.synth.config import CharsRange, FitConfig

SECTION = "corrupt"


class _Corrupt(StrictModel):
    """Questions to a language model, and the limits within which its answers are kept."""

    count: int = Field(ge=1)
    """Number of texts to show to the model; those whose answers are dropped count too."""
    chars: CharsRange = (250, 2500)
    """Minimum and maximum characters of a text. Texts with mark-up or links are passed over."""
    prompt: str | None = None
    """Template that holds `{text}` once and, where examples are shown, `{examples}`; null: ocrray's own
    (`synth/corrupt_prompt.py`)."""
    examples: FitConfig | None = None
    """Your own pairs to show as examples, best of the kind of text and scan that you have; null: three that ship."""
    examples_per_request: int = Field(3, ge=0, le=20)
    """Number of examples in a prompt, drawn at random for each text."""
    max_output_tokens_per_char: PositiveFloat = 1.0
    """Generation stops at this many tokens per character of the text, plus 16; some scripts need more than one, and models that
    think before they answer many more."""
    min_cer: float = Field(0.0, ge=0, lt=1)
    """Answers with a smaller character error rate are dropped (`equal`); 0: only those equal to the text but for white space."""
    max_cer: float = Field(0.4, gt=0, le=1)
    """Answers with a greater character error rate are dropped (`too_far`): another text, a summary, a translation."""

    @field_validator("prompt")
    @classmethod
    def _holds_the_text(cls, prompt: str | None) -> str | None:
        if prompt is not None and (prompt.count("{text}") != 1 or prompt.count("{examples}") > 1):
            raise ValueError("a template holds {text} exactly once, and {examples} at most once")
        return prompt

    @model_validator(mode="after")
    def _examples_are_shown(self) -> Self:
        if self.prompt and "{examples}" not in self.prompt and self.examples:
            raise ValueError("prompt: it holds no {examples}, so that corrupt.examples would not be shown")
        if self.min_cer >= self.max_cer:
            raise ValueError("min_cer must be less than max_cer")
        return self


class CorruptHttpConfig(_Corrupt, ServerConfig):
    """Texts that a language model on a server corrupts; one worker asks it, so that the limits a minute are those of the run."""

    engine: Literal["http"]
    temperature: NonNegativeFloat | None = 1.0
    """Temperature of sampling. null: not sent, for servers that refuse any but their own."""

    blocks_at_once: ClassVar[int] = 2  # more are asked again after a stop
    gpus: ClassVar[float] = 0

    def check(self) -> EngineInfo:
        """Return the identity of the model.

        Raises: ConfigError: with one line for each problem.
        """
        if problems := self.problems(SECTION):
            raise ConfigError("\n".join(problems))
        return EngineInfo("http", self.model)

    def open(self) -> Writer:
        """Return the model, ready to be asked."""
        return ServerWriter(self, self.max_output_tokens_per_char, SECTION)

    def settings(self) -> dict[str, Any]:
        """Return the keys that determine the pairs: not where the server is, and how patiently and how fast it is asked."""
        own = {*_Corrupt.model_fields, "engine", "model", "api", "temperature", "extra_body"}
        return self.model_dump(mode="json", include=own)

    def pool_workers(self, workers: int | None) -> int | None:  # noqa: ARG002 - the other engine may have many
        """Return the number of workers: one."""
        return 1


class CorruptHfConfig(_Corrupt, LoadedModelConfig):
    """Texts that a language model corrupts which is loaded here."""

    engine: Literal["hf"]
    gpus: float = Field(0, ge=0)
    """GPUs of one worker."""

    blocks_at_once: ClassVar[int] = 4

    def check(self) -> EngineInfo:
        """Return the identity of the model.

        Raises: ConfigError: with one line for each problem.
        """
        return self.check_model(SECTION)

    def open(self) -> Writer:
        """Return the loaded model; raises as `check` does, and EngineError when it cannot be loaded."""
        return LoadedWriter(self, self.max_output_tokens_per_char, SECTION)

    def settings(self) -> dict[str, Any]:
        """Return the keys that determine the pairs."""
        return self.model_dump(mode="json", exclude={"device", "batch_size_tokens", "gpus"})

    def pool_workers(self, workers: int | None) -> int | None:
        """Return the number of workers: as configured, else one for each GPU, or one, which takes all cores."""
        return workers or (None if self.gpus else 1)


CorruptConfig = Annotated[CorruptHttpConfig | CorruptHfConfig, Field(discriminator="engine")]
