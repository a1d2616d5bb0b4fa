"""Settings of a training run that are the same for every task."""

import importlib.util
import math
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from ocrray.config import FolderOrName, StrictModel
from ocrray.corpus.about import About
from ocrray.storage import LocationPath


class ModelConfig(StrictModel):
    """Start of training: a model with pretrained weights, or an architecture with random ones."""

    name: FolderOrName | None = None
    """A folder or a Hugging Face hub id with safetensors weights; null only with `method.kind: from_scratch`."""
    revision: str | None = None
    """Branch, tag or commit of the hub repository; null: `main`."""
    adapter: FolderOrName | None = None
    """A LoRA adapter of `name` to train further, a folder or a hub id; `method` names its rank and alpha. Null: a new one."""
    architecture: dict[str, Any] | None = None
    """Keys of the Hugging Face model config, `model_type` among them; needed by `method.kind: from_scratch`, else null."""
    tokenizer: FolderOrName | None = None
    """`characters` (Unicode code points), `bytes`, a folder or a hub id; null: the tokenizer of `name`. For images `characters`,
    or a folder or hub id that holds a processor too."""
    pad_token: str | None = None
    """Token of the tokenizer that a causal language model pads with; null: the tokenizer's own. Padding is masked in any case."""
    trust_remote_code: bool = False
    """Run Python code from the model's repository; a security risk."""

    @property
    def pretrained(self) -> str:
        """`name` of a model with weights; a method other than from_scratch has one.

        Raises:
            ValueError: when there is none.
        """
        if self.name is None:
            raise ValueError("model.name is not set")
        return self.name


class LoraMethod(StrictModel):
    """Train low-rank adapters (Hu et al. 2021) on a frozen model; `qlora` loads that model in 4 bits."""

    kind: Literal["lora", "qlora"]
    """`qlora` needs a GPU and bitsandbytes."""
    r: PositiveInt = 16
    """Rank of the adapters."""
    alpha: PositiveFloat = 32
    """Scaling numerator: an adapter's output is multiplied by alpha / r."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout probability in front of the adapters, 0 to below 1."""
    target_modules: list[str] | Literal["all-linear"] = "all-linear"
    """Names of the modules that get an adapter; `all-linear`: every linear layer but the head."""


class FullMethod(StrictModel):
    """Train every weight."""

    kind: Literal["full", "from_scratch"]
    """`full` starts from the weights of `model.name`, `from_scratch` from random ones of `model.architecture`."""


MethodConfig = Annotated[LoraMethod | FullMethod, Field(discriminator="kind")]


class DataConfig(StrictModel):
    """Training and validation data, and the rows that are left out."""

    train: tuple[str, ...] = Field(min_length=1)
    """Tables (JSON lines, arrays of JSON objects, CSV, TSV, Parquet): files, folders or globs, local or in an object store."""
    validation: tuple[str, ...] = ()
    """Validation data, as `train`; empty: a part of `train` is held out."""
    validation_frac: float = Field(default=0.02, gt=0, lt=1)
    """Share of the `train` rows that is held out where `validation` is empty, 0 to 1 exclusive; chosen by a hash of the row."""
    group_column: str | None = None
    """Rows with the same value in this column are held out together: split by document, never by line. Null: row by row."""
    source_column: str = "ocr"
    """Column that holds the text to correct, or the image; that of images is found by itself where it has a usual name."""
    target_column: str = "gt"
    """Column that holds the correct text, or the answer to an image; the latter is found as the image is."""
    instruction_column: str | None = None
    """Column with an instruction. A text to correct (Alpaca data) is dropped where it is not the prompt's; an image is read
    with it. Null: none; that of images is found as the image is."""
    messages_column: str | None = None
    """Column of dialogues (lists of messages), instead of source, target and instruction; all answers of the assistant are
    learned. Null: none; that of images is found by itself where it is called `messages` or `conversations`."""
    image_root: LocationPath | None = None
    """Folder that the paths of images lead from, and must stay below; null: the folder of their table."""
    max_length_tokens: PositiveInt = 1_024
    """Most tokens of prompt and answer together; a longer sample, or one too long for the model, is dropped, never cut."""
    max_dropped_frac: float = Field(default=0.05, ge=0, le=1)
    """Most rows that may be dropped, 0 to 1; the run does not start above it. A row cut into pieces counts by piece."""
    grouping: Literal["none", "length", "packed", "rows"] = "length"
    """Composition of a batch: any samples, samples of similar length, several end to end up to `max_length_tokens`, or samples of
    neighbouring rows, so that a set is learned from its first row to its last: for sets that grow more difficult."""


class OptimizerConfig(StrictModel):
    """AdamW, or Muon for the matrices inside the layers with AdamW for the rest (Jordan et al. 2024)."""

    kind: Literal["adamw", "paged_adamw", "muon"] = "adamw"
    """`paged_adamw`: bitsandbytes' AdamW with 32-bit state, which moves to the CPU's memory where a GPU's runs out. DeepSpeed has
    an AdamW of its own and takes neither of the others."""
    learning_rate: PositiveFloat
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay rates of AdamW's moments, 0 to 1."""
    eps: PositiveFloat = 1e-8
    """AdamW's epsilon."""
    weight_decay: NonNegativeFloat = 0.0
    """Decoupled weight decay."""
    max_grad_norm: PositiveFloat = 1.0
    """Gradients are clipped to this norm."""
    schedule: Literal["cosine", "linear", "constant", "warmup_stable_decay"] = "cosine"
    """Shape of the learning rate over the steps."""
    warmup_steps: NonNegativeInt = 10
    """Optimizer steps over which the learning rate rises from 0."""
    decay_frac: float = Field(default=0.6, gt=0, le=1)
    """Share of all steps, at the end, over which `warmup_stable_decay` falls to 0; 0 exclusive to 1."""


class BatchConfig(StrictModel):
    """Samples of one optimizer step: size × accumulation × workers (the most of an elastic group).

    A smaller group accumulates more batches, so that a step sees the same number of samples.
    """

    size: PositiveInt
    """Samples of one batch of one worker."""
    accumulation: PositiveInt = 1
    """Batches of one worker before each optimizer step."""


class DeepSpeedConfig(StrictModel):
    """DeepSpeed ZeRO (Rajbhandari et al. 2020): state that is partitioned over the workers instead of replicated."""

    zero_stage: Literal[0, 2, 3] = 2
    """0: nothing is partitioned; 2: optimizer state and gradients; 3: weights too."""
    offload_optimizer: bool = False
    """Keep the optimizer state in the CPU's memory (stage 2 or 3)."""
    offload_params: bool = False
    """Keep the weights in the CPU's memory (stage 3)."""


class EarlyStoppingConfig(StrictModel):
    """End of a run whose validation loss no longer falls; the best checkpoint is kept in any case."""

    patience: PositiveInt = 3
    """Validation losses in a row without an improvement after which the run ends."""
    min_improvement: NonNegativeFloat = 0.0
    """Least decrease below the best validation loss that counts as an improvement."""


class EvaluationConfig(StrictModel):
    """Measurements during training."""

    every_steps: PositiveInt = 100
    """Optimizer steps between two validation losses, computed on the training workers."""
    per_epoch: PositiveInt | None = None
    """Validation losses per epoch, instead of `every_steps`; their distance in steps is rounded up. Null: `every_steps`."""

    def steps_between(self, steps_per_epoch: int) -> int:
        """Return the optimizer steps between two validation losses."""
        return -(-steps_per_epoch // self.per_epoch) if self.per_epoch else self.every_steps

    generate_records: NonNegativeInt = 64
    """Validation samples on which checkpoints are evaluated, one at a time and apart from the training workers; 0: none."""
    early_stopping: EarlyStoppingConfig | None = None
    """Early end of the run, by its validation losses; null: it goes on to its last step."""


class CheckpointConfig(StrictModel):
    """Checkpoints of the training state."""

    every_steps: PositiveInt = 500
    """Optimizer steps between two checkpoints."""
    keep: PositiveInt = 2
    """Checkpoints to keep, those with the least validation loss; the last one is kept besides."""


class TrainOutput(About):
    """Location of the run, forms of the model, and metadata for its card."""

    path: LocationPath
    """A local folder; on a cluster one that all machines share."""
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """Data type of the stored weights of a fully trained model; null: the training precision."""
    merge: bool = False
    """Also write the model with its adapter merged in, to `<path>/merged`."""
    zip: bool = False
    """Also pack the model folder into a zip file beside it."""
    push_to_hub: str | None = None
    """Hub repository to upload the model to; a new one is made private. Null: no upload."""
    tensorboard: bool = False
    """Write TensorBoard logs to `<path>/tensorboard`."""
    title: str = ""
    """Title of the model card; empty: the name of the output folder."""
    datasets: tuple[str, ...] = ()
    """Hub ids of the data sets that the training data come from, for the model card."""
    published_losses: dict[NonNegativeInt, float] = Field(default_factory=dict)
    """Validation loss by step as published for this recipe, shown beside this run's in the model card."""

    @model_validator(mode="after")
    def _tensorboard_installed(self) -> "TrainOutput":
        if self.tensorboard and not any(map(importlib.util.find_spec, ("tensorboard", "tensorboardX"))):
            raise ValueError("tensorboard is not installed here: pip install tensorboard, or leave it off")
        return self


class TrainWorkers(StrictModel):
    """Processes that train together."""

    num: PositiveInt | tuple[PositiveInt, PositiveInt] = 1
    """Number of processes; a pair is the least and the most of an elastic group, which follows the size of the cluster."""
    gpus: NonNegativeFloat = 0
    """GPUs of one process; 0: train on the CPU."""
    cpus: PositiveInt = 1
    """CPUs of one process."""
    threads: PositiveInt | None = None
    """Torch threads of one process; null: as many as `cpus`."""
    max_restarts: NonNegativeInt = 3
    """Restarts from the last checkpoint after a process died, before the run gives up."""

    @property
    def most(self) -> int:
        """Largest number of processes."""
        return self.num if isinstance(self.num, int) else self.num[1]

    @property
    def least(self) -> int:
        """Smallest number of processes."""
        return self.num if isinstance(self.num, int) else self.num[0]

    @property
    def is_elastic(self) -> bool:
        """True when the number of processes may change during the run."""
        return not isinstance(self.num, int)

    @model_validator(mode="after")
    def _least_before_most(self) -> "TrainWorkers":
        if self.least > self.most:
            raise ValueError("num: the least comes before the most")
        return self


class RunSettings(StrictModel):
    """Everything that one run of `ocrray train` needs to know but its task."""

    model: ModelConfig
    method: MethodConfig
    data: DataConfig
    optimizer: OptimizerConfig
    batch: BatchConfig
    epochs: PositiveFloat = 1
    """Passes over the training data; `max_steps` overrides it."""
    max_steps: PositiveInt | None = None
    """Optimizer steps of the run; null: as many as `epochs` take."""
    step_limit: PositiveInt | None = None
    """Optimizer steps after which a run of `epochs` ends, should it take more; null: none."""
    seed: int = Field(default=1, ge=0, lt=2**32)
    """Seed of weights, dropout, held-out rows and order of samples."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Data type of forward and backward passes; float16 needs GPUs."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    deepspeed: DeepSpeedConfig | None = None
    """DeepSpeed ZeRO; null: plain data parallelism."""
    evaluation: EvaluationConfig = EvaluationConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    output: TrainOutput
    workers: TrainWorkers = TrainWorkers()

    def steps(self, steps_per_epoch: int) -> int:
        """Return the optimizer steps of the run, unless it is stopped early."""
        steps = self.max_steps or math.ceil(self.epochs * steps_per_epoch)
        return min(steps, self.step_limit or steps)

    @property
    def trains_adapter(self) -> bool:
        """True when a LoRA adapter is trained instead of the model's own weights."""
        return self.method.kind in ("lora", "qlora")

    @property
    def from_scratch(self) -> bool:
        """True when training starts from random weights."""
        return self.method.kind == "from_scratch"
