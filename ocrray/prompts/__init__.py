"""Prompts of correctors: what a model is shown and how its answer is read; training and inference use the same objects."""

import hashlib
from dataclasses import dataclass, replace

from ocrray.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Prompt:
    """A template in which `{text}` stands for the source, exactly once.

    A published template never changes: another wording is another version. `instruction` is the system message of a chat.
    With `width_bytes` the source is padded with U+001F to that many UTF-8 bytes: the answer then has a fixed distance to the
    source that it copies, which a small model learns several times sooner.
    """

    name: str
    version: str
    template: str
    instruction: str = ""
    width_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.template.count("{text}") != 1:
            raise ConfigError(f"prompt {self.name}: a template holds {{text}} exactly once")

    @property
    def prompt_version(self) -> str:
        """Name and version as rows and fingerprints hold them, for instance `alpaca_ocr/1`."""
        return f"{self.name}/{self.version}"

    def fits(self, source: str) -> bool:
        """Return whether the source is no wider than `width_bytes`; always true of a prompt without one."""
        return self.width_bytes is None or len(source.encode()) <= self.width_bytes

    def render(self, source: str) -> str:
        """Return the text that the model reads; a source that does not fit is shown without padding."""
        padding = "\x1f" * (self.width_bytes - len(source.encode())) if self.width_bytes else ""
        return self.template.replace("{text}", source + padding)

    def messages(self, source: str) -> list[dict[str, str]]:
        """Return the messages to a chat model: the instruction, where there is one, then the rendered source."""
        user = {"role": "user", "content": self.render(source)}
        return [{"role": "system", "content": self.instruction}, user] if self.instruction else [user]

    def completion(self, target: str) -> str:
        """Return the text that the model is taught to write after `render(source)`, before its end-of-text token."""
        return target.strip()

    def extract(self, generated: str) -> str:
        """Return the answer in generated text: stripped, and only what follows the response marker if it repeats the prompt."""
        opening, marker = self.template.split("{text}")
        if marker and generated.startswith(opening) and marker in generated:
            generated = generated.partition(marker)[2]
        return generated.strip()


PROMPTS = {
    prompt.name: prompt
    for prompt in (
        Prompt(  # as published with pbevan11/llama-3.1-8b-ocr-correction
            name="alpaca_ocr",
            version="1",
            template=(
                "Below is an instruction that describes a task, paired with an input that provides further context. "
                "Write a response that appropriately completes the request.\n\n"
                "### Instruction:\n"
                "You are an assistant that takes a piece of text that has been corrupted during OCR digitisation, "
                "and produce a corrected version of the same text.\n\n"
                "### Input:\n{text}\n\n"
                "### Response:\n"
            ),
        ),
        # `text.normalise.sanitise` removes U+001E and U+001F from every source, so that none can fake the separator.
        Prompt(name="plain", version="1", template="{text}\x1e"),
        Prompt(name="padded_144", version="1", template="{text}\x1e", width_bytes=144),
        Prompt(name="none", version="1", template="{text}"),
        Prompt(
            name="chat_ocr",
            version="1",
            template="{text}",
            instruction=(
                "You correct errors that OCR made in old texts. Keep the wording, the historical spelling, the punctuation and "
                "the line breaks of the original. Answer with the corrected text and nothing else."
            ),
        ),
    )
}


def resolve(name_or_template: str, system: str | None = None) -> Prompt:
    """Return the prompt of this name, or a prompt made of the user's own template; `system` replaces its system message.

    Raises:
        ConfigError: when it is neither.
    """
    if system is not None:
        prompt = resolve(name_or_template)
        digest = hashlib.sha256(f"{prompt.prompt_version} {system}".encode("utf-8", "surrogatepass")).hexdigest()
        return replace(prompt, name=f"{prompt.name}_system", version=digest[:12], instruction=system)
    if name_or_template in PROMPTS:
        return PROMPTS[name_or_template]
    if "{text}" in name_or_template:
        digest = hashlib.sha256(name_or_template.encode("utf-8", "surrogatepass")).hexdigest()
        return Prompt(name="custom", version=digest[:12], template=name_or_template)
    known = ", ".join(PROMPTS)
    raise ConfigError(
        f"prompt: no prompt is called {name_or_template!r}; known are {known}, or give a template that holds {{text}}"
    )
