"""What a language model is shown and what is read back; training and inference use the same objects, so the two cannot drift."""

import hashlib
from dataclasses import dataclass

from ocrray.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Prompt:
    """A template in which `{text}` stands for the source, exactly once.

    A published template never changes: another wording is another version. `instruction` is the system message of a chat.
    """

    name: str
    version: str
    template: str
    instruction: str = ""

    def __post_init__(self) -> None:
        if self.template.count("{text}") != 1:
            raise ConfigError(f"prompt {self.name}: a template holds {{text}} exactly once")

    @property
    def prompt_version(self) -> str:
        """The name that a row and a fingerprint hold, `alpaca_ocr/1` for instance."""
        return f"{self.name}/{self.version}"

    def render(self, source: str) -> str:
        """What the model reads."""
        return self.template.replace("{text}", source)

    def messages(self, source: str) -> list[dict[str, str]]:
        """What a chat model reads: the instruction, where there is one, then the rendered source."""
        user = {"role": "user", "content": self.render(source)}
        return [{"role": "system", "content": self.instruction}, user] if self.instruction else [user]

    def completion(self, target: str) -> str:
        """What the model is taught to write after `render(source)`, before its end-of-text token."""
        return target.strip()

    def extract(self, generated: str) -> str:
        """The answer in what a model wrote: stripped, and only what follows the response marker where it repeats the prompt."""
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
        # U+001E never stands in a text that `text.normalise.sanitise` has seen, so the source cannot fake the separator.
        Prompt(name="plain", version="1", template="{text}\x1e"),
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


def resolve(name_or_template: str) -> Prompt:
    """The prompt of this name, or a prompt made of the user's own template text; raises ConfigError when it is neither."""
    if name_or_template in PROMPTS:
        return PROMPTS[name_or_template]
    if "{text}" in name_or_template:
        digest = hashlib.sha256(name_or_template.encode("utf-8", "surrogatepass")).hexdigest()
        return Prompt(name="custom", version=digest[:12], template=name_or_template)
    known = ", ".join(PROMPTS)
    raise ConfigError(
        f"prompt: no prompt is called {name_or_template!r}; known are {known}, or give a template that holds {{text}}"
    )
