"""What one run of `ocrray train` is: task, model, method, data and everything that the loop needs to know."""

import importlib.util
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from ocrray.config import StrictModel


class CorrectionTask(StrictModel):
    """A causal language model that writes the corrected text after its prompt."""

    kind: Literal["correction"]
    prompt: str = "alpaca_ocr"
    """The name of a prompt in `ocrray/prompts.py`, or a template that holds `{text}`."""
    piece_bytes: tuple[PositiveInt, ...] = ()
    """A longer source is cut where it agrees with its target, into pieces of at most one of these widths, drawn for each text."""


class EditTaggingTask(StrictModel):
    """A token-classification model over characters, whose labels are edits."""

    kind: Literal["edit_tagging"]
    num_labels: PositiveInt = 1_200
    """The most frequent edits of the training data become labels; `method: full` keeps the model's own."""
    window_chars: tuple[PositiveInt, ...] = (96, 192, 320, 480)
    """A text is cut into windows of one of these lengths, drawn for each text."""
    ignore_styles: bool = True
    """Quotation marks and dashes of another style than the ground truth's are no errors."""


class ExtractionTask(StrictModel):
    """A causal language model that writes the fields of a photograph from the OCR of its front and back.

    The columns are `front`, `back`, `language`, `description`, `title`, `agency`, `photographer` and `date`.
    """

    kind: Literal["extraction"]


TaskConfig = Annotated[CorrectionTask | EditTaggingTask | ExtractionTask, Field(discriminator="kind")]


class ModelConfig(StrictModel):
    """The model that training starts from: pretrained weights, or an architecture with random ones."""

    name: str | None = None
    """A folder or a hub id; safetensors only."""
    revision: str | None = None
    architecture: dict[str, Any] | None = None
    """`method: from_scratch`: the keys of the Hugging Face config, `model_type` among them."""
    tokenizer: str | None = None
    """`characters` (code points), `bytes`, a folder or a hub id; null: the model's own."""
    trust_remote_code: bool = False


class LoraMethod(StrictModel):
    """Low-rank adapters (Hu et al. 2021) on a frozen model; `qlora` loads that model in 4 bits (a GPU and bitsandbytes)."""

    kind: Literal["lora", "qlora"]
    r: PositiveInt = 16
    alpha: PositiveFloat = 32
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: list[str] | Literal["all-linear"] = "all-linear"


class FullMethod(StrictModel):
    """Every weight is trained, from the pretrained ones or from random ones."""

    kind: Literal["full", "from_scratch"]


MethodConfig = Annotated[LoraMethod | FullMethod, Field(discriminator="kind")]


class DataConfig(StrictModel):
    """Where the samples are, and what becomes of those that do not fit."""

    train: tuple[str, ...] = Field(min_length=1)
    """JSONL, CSV, TSV (also gzipped) or Parquet: files, folders or globs, local or in an object store."""
    validation: tuple[str, ...] = ()
    validation_frac: float = Field(default=0.02, gt=0, lt=1)
    """About this share of `train` is held out where `validation` names no files; the rows are chosen by what they hold."""
    group_column: str | None = None
    """Rows that share this column's value are held out together: split by document, never by line."""
    source_column: str = "ocr"
    target_column: str = "gt"
    instruction_column: str | None = None
    """Alpaca data: a row that asks for anything but the prompt's own instruction is dropped."""
    max_length_tokens: PositiveInt = 1_024
    """Prompt and answer together; a sample that is longer, or too long for the model, is dropped, never cut."""
    max_dropped_frac: float = Field(default=0.05, ge=0, le=1)
    """The run does not start when a larger share of the rows would be dropped; a row cut into pieces counts by piece."""
    grouping: Literal["none", "length", "packed"] = "length"
    """How a batch is made: of any samples, of similarly long ones, or of several laid end to end up to max_length_tokens."""


class OptimizerConfig(StrictModel):
    """AdamW, or Muon for the matrices inside the layers with AdamW for the rest (Jordan et al. 2024; not under DeepSpeed)."""

    kind: Literal["adamw", "muon"] = "adamw"
    learning_rate: PositiveFloat
    betas: tuple[float, float] = (0.9, 0.999)
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.0
    max_grad_norm: PositiveFloat = 1.0
    schedule: Literal["cosine", "linear", "constant", "warmup_stable_decay"] = "cosine"
    warmup_steps: NonNegativeInt = 10
    decay_frac: float = Field(default=0.6, gt=0, le=1)
    """`warmup_stable_decay`: the share of all steps over which the rate falls to nothing, at the end."""


class BatchConfig(StrictModel):
    """How many samples one optimizer step sees: size x accumulation x workers, of an elastic group its most.

    A smaller group accumulates more, so that a step sees the same."""

    size: PositiveInt
    accumulation: PositiveInt = 1


class DeepSpeedConfig(StrictModel):
    """ZeRO (Rajbhandari et al. 2020): what is spread over the workers: 0 nothing, 2 optimizer and gradients, 3 weights too."""

    zero_stage: Literal[0, 2, 3] = 2
    offload_optimizer: bool = False
    offload_params: bool = False


class EvaluationConfig(StrictModel):
    """How the model is measured while it is trained."""

    every_steps: PositiveInt = 100
    """Validation loss, on the training workers."""
    generate_records: NonNegativeInt = 64
    """Validation samples that checkpoints correct, one checkpoint at a time and away from the training workers; 0: none."""


class CheckpointConfig(StrictModel):
    """When the state is written, and how much is kept: the best ones, and the last one beside them."""

    every_steps: PositiveInt = 500
    keep: PositiveInt = 2


class TrainOutput(StrictModel):
    """Where the run is written and what comes out of it."""

    path: str
    """A folder; on a cluster one that all its machines share."""
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """How the weights of a fully trained model are stored; null: in the precision of the training."""
    merge: bool = False
    """Write the model with its adapter merged in as well, in `<path>/merged`."""
    zip: bool = False
    """Pack what comes out into one file beside it."""
    push_to_hub: str | None = None
    """A hub repository to upload the result to; one that is new is made private."""
    tensorboard: bool = False
    """Write logs for TensorBoard into `<path>/tensorboard`."""
    title: str = ""
    description: str = ""
    license: str = ""
    """One of the Hugging Face hub's identifiers, `apache-2.0` for instance."""
    languages: tuple[str, ...] = ()
    """ISO 639 codes, for the card."""
    datasets: tuple[str, ...] = ()
    """Hub ids of the data sets that the training data come from, for the card."""
    published_losses: dict[NonNegativeInt, float] = Field(default_factory=dict)
    """Validation loss by step that others published for this recipe, to stand beside ours in the card."""

    @model_validator(mode="after")
    def _tensorboard_installed(self) -> "TrainOutput":
        if self.tensorboard and not any(map(importlib.util.find_spec, ("tensorboard", "tensorboardX"))):
            raise ValueError("tensorboard is not installed here: pip install tensorboard, or leave it off")
        return self


class TrainWorkers(StrictModel):
    """The processes that train together."""

    num: PositiveInt | tuple[PositiveInt, PositiveInt] = 1
    """How many; a pair is the least and the most, and training goes on when the cluster grows or shrinks between them."""
    gpus: NonNegativeFloat = 0
    """GPUs of one worker; 0 trains on the CPU."""
    cpus: PositiveInt = 1
    threads: PositiveInt | None = None
    """Threads of one worker's torch; null: as many as its CPUs."""
    max_restarts: NonNegativeInt = 3
    """How often the run goes on from its last checkpoint after a worker died."""

    @model_validator(mode="after")
    def _least_before_most(self) -> "TrainWorkers":
        if not isinstance(self.num, int) and self.num[0] > self.num[1]:
            raise ValueError("num: the least comes before the most")
        return self


class TrainConfig(StrictModel):
    """One complete run of `ocrray train`."""

    task: TaskConfig
    model: ModelConfig
    method: MethodConfig
    data: DataConfig
    optimizer: OptimizerConfig
    batch: BatchConfig
    epochs: PositiveFloat = 1
    max_steps: PositiveInt | None = None
    seed: int = Field(default=1, ge=0, lt=2**32)
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    gradient_checkpointing: bool = False
    deepspeed: DeepSpeedConfig | None = None
    evaluation: EvaluationConfig = EvaluationConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    output: TrainOutput
    workers: TrainWorkers = TrainWorkers()

    @model_validator(mode="after")
    def _consistent(self) -> "TrainConfig":
        scratch = self.method.kind == "from_scratch"
        if scratch and not (self.model.architecture and self.model.tokenizer):
            raise ValueError("method from_scratch needs model.architecture and model.tokenizer")
        if not scratch and not self.model.name:
            raise ValueError(f"method {self.method.kind} needs model.name")
        if self.precision == "float16" and not self.workers.gpus:
            raise ValueError("precision float16 trains on GPUs only; take bfloat16 or float32, or set workers.gpus")
        if self.deepspeed and self.optimizer.kind == "muon":
            raise ValueError("optimizer muon does not run under DeepSpeed")
        if self.task.kind == "edit_tagging" and self.data.grouping == "packed":
            raise ValueError("edit tagging cuts its own windows: grouping is none or length")
        if self.task.kind == "edit_tagging" and self.method.kind in ("lora", "qlora"):
            raise ValueError("a tagger is small and trained whole: method is full or from_scratch")
        if self.output.merge and self.method.kind not in ("lora", "qlora"):
            raise ValueError(f"output.merge merges an adapter into its base, and method {self.method.kind} makes none")
        return self
