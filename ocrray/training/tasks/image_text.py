"""Images with text: a vision-language model reads an image and an instruction, and writes the text or the fields in it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
from pydantic import PositiveInt

from ocrray.errors import ConfigError, RecordError
from ocrray.models.folders import ADAPTER_FILES
from ocrray.models.vision.checks import vision_problems
from ocrray.models.vision.formats import PromptFormat, default_instruction, resolve_format
from ocrray.prompts.fields import FieldSchema
from ocrray.training.image_rows import COLUMNS, ImageRows
from ocrray.training.images import checked_image
from ocrray.training.layouts import Layout
from ocrray.training.samples import SAMPLES, Column, Facts
from ocrray.training.settings import RunSettings
from ocrray.training.tasks import new_reader
from ocrray.training.tasks.architecture import known_settings, tower_problems
from ocrray.training.tasks.base import BaseTaskConfig, CardText, Collator, Preprocessor
from ocrray.training.tasks.image_batches import ImageBatches
from ocrray.training.tasks.pretrained import PretrainedTask

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin

    from ocrray.models.vision.encoder import ImageTextEncoder


class ImageTextConfig(BaseTaskConfig):
    """A vision-language model that reads an image and writes its text, or its fields as JSON."""

    kind: Literal["image_text"]
    instruction: str | None = None
    """Request to the model for rows without one of their own; null: the usual one of the prompt's format."""
    prompt: PromptFormat = "auto"
    """Format of the text between image and answer, by its name in `ocrray/models/vision`; `auto`: by the model's type."""
    output: Literal["text", "markdown", "json"] = "text"
    """Form of the answers; it decides how checkpoints are measured."""
    fields: FieldSchema | None = None
    """JSON Schema of the answers, for `output: json`: rows with others are dropped. Null: any."""
    vision: Literal["frozen", "adapter", "full"] = "frozen"
    """Training of the vision tower and of what joins it to the language model: none, an adapter (`lora` and `qlora`), or all of
    their weights. `from_scratch` needs `full`."""
    crop_to_patches: bool = False
    """Show parts of large images in full resolution besides the whole, where the model's processor can."""
    max_patches: PositiveInt = 12
    """Most of these parts."""
    alphabet: str = ""
    """Characters of a new tokenizer (`model.tokenizer: characters`) besides those of instructions and answers."""
    image_processor: dict[str, Any] | None = None
    """Keys of the image processor of a model with such a tokenizer, as in preprocessor_config.json, `image_processor_type` among
    them; null: GOT-OCR2's, for images of `model.architecture.vision_config.image_size`."""

    def open(self, run: RunSettings) -> "ImageTextTask":
        """Return the task of one run."""
        return ImageTextTask(self, run)

    def conflicts(self, run: RunSettings) -> list[str]:
        """Return what cannot be trained: packed samples, a `vision` that the method has no means for, a tokenizer without one."""
        found = []
        if run.data.grouping == "packed":
            found.append("samples with images are not packed: data.grouping is none or length")
        if self.vision == "adapter" and not run.trains_adapter:
            found.append(f"task.vision adapter needs method.kind lora or qlora, not {run.method.kind}")
        if self.vision == "full" and run.method.kind == "qlora":
            found.append("task.vision full trains weights that qlora has in 4 bits: take adapter, or method.kind lora")
        if self.vision != "full" and run.from_scratch:
            found.append("method.kind from_scratch trains every weight: set task.vision to full")
        if self.fields and self.output != "json":
            found.append("task.fields describes answers in JSON: set task.output to json")
        kind = (run.model.architecture or {}).get("model_type")
        if run.model.tokenizer == "characters" and run.from_scratch and kind != new_reader.MODEL_TYPE:
            found.append(f"model.tokenizer characters is for {new_reader.MODEL_TYPE} models: name a folder with a processor")
        return found


class ImageTextTask(PretrainedTask):
    """Rows of image, instruction and answer, one sample each; a sample's source is its instruction."""

    rows_per_call = 32  # their images are in memory together

    def __init__(self, config: ImageTextConfig, run: RunSettings) -> None:
        super().__init__(run)
        self._config = config
        self._opened: tuple[Facts, ImageTextEncoder] | None = None

    def columns(self) -> tuple[Column, ...]:
        """Return image, instruction and answer."""
        return tuple(COLUMNS)

    def layout(self) -> Layout:
        """Return the rule that finds them in the forms in which people have such data."""
        return ImageRows(self._run.data, json_answers=self._config.output == "json")

    def folder_problems(self, name: str) -> list[str]:
        """Return what keeps `name` from being loaded as a vision-language model."""
        return vision_problems(name)

    def problems(self) -> list[str]:
        """Return reasons why the model cannot be trained as configured, as far as its files tell; a line each."""
        return super().problems() or tower_problems(self._run, self.model_class, reaches=self._config.vision == "adapter")

    def survey(self, sample: Callable[[], pa.Table]) -> Facts:
        """Return the alphabet of a new tokenizer, else nothing."""
        if not self._has_new_tokenizer:
            return {}
        rows = sample()
        texts = [text for name in ("answer", "instruction") for text in rows[name].to_pylist() if text]
        return {"alphabet": "".join(sorted(set("".join([*texts, self._instruction, self._config.alphabet]))))}

    def encode(self, rows: pa.Table, facts: Facts) -> pa.Table:
        """Return SAMPLES that hold the encoded images.

        Reasons to drop are `too_long`, `unknown_characters` (the tokenizer has no token for them), `bad_fields` (the answer does
        not fit the schema), `bad_instruction` (it spells out a special token), and of images `image_` with the kind of the error.
        """
        return pa.Table.from_pylist(
            [self._sample(number, row, facts) for number, row in enumerate(rows.to_pylist())], schema=SAMPLES
        )

    def model_class(self) -> Any:
        """Return AutoModelForImageTextToText."""
        from transformers import AutoModelForImageTextToText

        return AutoModelForImageTextToText

    def load_preprocessor(self, folder: Path, *, trust_remote_code: bool) -> "Preprocessor":
        """Return the processor that training saved in `folder`."""
        from transformers import AutoConfig

        from ocrray.models.vision.processors import load_processor

        model = self._run.model
        if (folder / ADAPTER_FILES[0]).is_file():  # an adapter has no config of the model
            config = AutoConfig.from_pretrained(model.pretrained, revision=model.revision, trust_remote_code=trust_remote_code)
        else:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
        processor: ProcessorMixin = load_processor(folder, config, trust_remote_code=trust_remote_code)
        return processor

    def load_merged(self, base: str, **settings: Any) -> "tuple[PreTrainedModel, Preprocessor]":
        """Return a model with its adapter merged in, and its processor; `settings` are those of `load_vision_model`."""
        from ocrray.models.vision.loading import load_vision_model

        loaded: Any = load_vision_model(base, merge_adapter=True, prompt_format=self._config.prompt, **settings)
        return loaded.model, loaded.encoder.processor

    def build(self, facts: Facts) -> "tuple[PreTrainedModel, ProcessorMixin]":
        """Return the vision-language model to train, random or pretrained, and its processor."""
        processor: Any = self._encoder(facts).processor
        return self._new_model(processor) if self._run.from_scratch else self._pretrained_model(), processor

    def frozen_modules(self, model: Any) -> list[str]:
        """Return the vision tower unless it is trained, and what takes no part in reading an image."""
        from PIL import Image

        from ocrray.training.unused import outside_decoder, unused_modules

        assert self._opened is not None  # `build` came before
        encoder = self._opened[1]
        prompt = encoder.encode_prompt(Image.new("RGB", (64, 64), "white"), self._instruction)
        frozen = outside_decoder(model) if self._config.vision == "frozen" else []
        return list(dict.fromkeys([*frozen, *unused_modules(model, encoder.batch([prompt]))]))

    def whole_modules(self, model: Any) -> list[str]:
        """Return the vision tower where it is trained whole."""
        from ocrray.training.unused import outside_decoder

        return outside_decoder(model) if self._config.vision == "full" else []

    def collator(self, pad_id: int, facts: Facts) -> Collator:
        """Return a collator that opens images and pads on the left."""
        del pad_id  # the encoder has its own
        return ImageBatches(self._encoder(facts))

    def measure(self, folder: Path, samples: pa.Table) -> dict[str, float]:
        """Return the figures of greedy answers: CER, WER and the share of exact ones, or the scores of documents."""
        from ocrray.training.tasks.image_measure import measure

        weights = {name: value for name, value in self._engine_weights(folder).items() if name != "model"}
        location = self._run.model.pretrained if "adapter" in weights else str(folder)
        return measure(location, samples, as_json=self._config.output == "json", **weights, **self._prompt_options())

    def card(self, weights: Mapping[str, Any]) -> CardText:
        """Return the parts of the card of a reader."""
        config = self._config
        restore = {"engine": "vlm", **weights, "prompt": config.prompt, "instruction": self._instruction, "output": config.output}
        if config.output == "json":
            fields = config.fields.model_dump(mode="json", exclude_defaults=True) if config.fields else {"type": "object"}
            restore |= {"fields": fields}
        if config.crop_to_patches:
            restore |= {"crop_to_patches": True, "max_patches": config.max_patches}
        written = {"text": "its text", "markdown": "its text as Markdown", "json": "its fields as JSON"}[config.output]
        return CardText(
            summary=f"A vision-language model that reads an image and writes {written}, asked by `{self._instruction.strip()}`.",
            pipeline_tag="image-text-to-text",
            restore={"recognize": restore, "correct": None},
            auto_class="AutoModelForImageTextToText",
            processing_class="AutoProcessor",
            tags=("image-to-text",),
            usage="Generate greedily from the prompt as ocrray builds it (format and instruction above), up to the end token.",
            measurement="greedy answers",
            hyperparameters=[
                ("prompt format", resolve_format(config.prompt, self._model_type)),
                ("vision tower", config.vision),
                ("greatest length, tokens", self._run.data.max_length_tokens),
            ],
        )

    @property
    def _has_new_tokenizer(self) -> bool:
        return self._run.from_scratch and self._run.model.tokenizer == "characters"

    @property
    def _model_type(self) -> str:
        return str(known_settings(self._run).get("model_type", ""))

    @property
    def _instruction(self) -> str:
        """Instruction of rows that have none."""
        if self._config.instruction is not None:
            return self._config.instruction
        return default_instruction(resolve_format(self._config.prompt, self._model_type), self._config.crop_to_patches)

    def _prompt_options(self) -> dict[str, Any]:
        config = self._config
        return {"prompt_format": config.prompt, "crop_to_patches": config.crop_to_patches, "max_patches": config.max_patches}

    def _encoder(self, facts: Facts) -> "ImageTextEncoder":
        if self._opened is None or self._opened[0] != facts:
            self._opened = facts, self._open_encoder(facts)
        return self._opened[1]

    def _open_encoder(self, facts: Facts) -> "ImageTextEncoder":
        from ocrray.models.vision.loading import load_encoder, make_encoder
        from ocrray.models.vision.processors import load_processor

        model = self._run.model
        if not self._run.from_scratch:
            return load_encoder(
                model.pretrained,
                revision=model.revision,
                processor=model.tokenizer,
                trust_remote_code=model.trust_remote_code,
                **self._prompt_options(),
            )
        architecture = model.architecture or {}
        if self._has_new_tokenizer:
            processor: Any = new_reader.new_processor(architecture, facts["alphabet"], self._config.image_processor)
        else:
            processor = load_processor(str(model.tokenizer), self._new_config(None))
        return make_encoder(processor, self._new_config(processor), **self._prompt_options())

    def _new_config(self, processor: Any) -> Any:
        from transformers import AutoConfig

        architecture = self._run.model.architecture or {}
        return AutoConfig.for_model(**new_reader.complete(architecture, processor) if self._has_new_tokenizer else architecture)

    def _new_model(self, processor: Any) -> "PreTrainedModel":
        model: PreTrainedModel = self.model_class().from_config(self._new_config(processor))
        return model

    def _sample(self, number: int, row: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
        encoder = self._encoder(facts)
        source, target = row["instruction"] or self._instruction, row["answer"]
        sample = {"row": number, "source": source, "target": target}
        try:
            data, size = checked_image(row["image"])
            length = encoder.prompt_tokens(size, source)
        except RecordError as error:
            return sample | {"dropped": error.kind if error.kind == "bad_image" else f"image_{error.kind}"}
        except ConfigError:
            return sample | {"dropped": "bad_instruction"}
        if self._config.fields and not _fits(target, self._config.fields):
            return sample | {"dropped": "bad_fields"}
        answer = encoder.encode_answer(target)
        unknown = encoder.tokenizer.unk_token_id
        if unknown is not None and unknown in answer:
            return sample | {"dropped": "unknown_characters"}
        if length + len(answer) > self._limit_tokens:
            return sample | {"dropped": "too_long"}
        images = [{"bytes": data, "path": None}]
        return sample | {"input_ids": answer, "labels": answer, "length": length + len(answer), "images": images}


def _fits(answer: str, fields: FieldSchema) -> bool:
    try:
        fields.parse(answer)
    except RecordError:
        return False
    return True
