"""Training loop: transformers.Trainer with PEFT and DeepSpeed, configured by the run and the task."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow.compute as pc
import torch
from transformers import PrinterCallback, Trainer, TrainingArguments
from transformers.utils import logging as transformers_logging

from ocrray.errors import ConfigError, EngineError
from ocrray.models.limits import padding_id, token_rows
from ocrray.training import deepspeed
from ocrray.training.adapters import with_adapter
from ocrray.training.checkpoint import StepLayout, first_layout, read_layout
from ocrray.training.config import TrainConfig, open_task
from ocrray.training.history import read_state
from ocrray.training.optimizers import MuonWithAdamW
from ocrray.training.order import SampleOrder
from ocrray.training.packing import Packed, SampleData
from ocrray.training.progress import Progress, Report
from ocrray.training.samples import NO_LOSS, Facts
from ocrray.training.schedule import schedule_problem
from ocrray.training.space import checkpoint_bytes, space_problem
from ocrray.training.stopping import stops_early
from ocrray.training.tasks.base import Preprocessor, Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SCHEDULES = {
    "cosine": "cosine",
    "linear": "linear",
    "constant": "constant_with_warmup",
    "warmup_stable_decay": "warmup_stable_decay",
}
_LOG_EVERY_STEPS = 10
_log = logging.getLogger(__name__)


def train(
    config: TrainConfig,
    *,
    task: Task,
    facts: Facts,
    train_data: SampleData,
    validation_data: SampleData,
    folder: Path,
    report: Report,
    resume_from: Path | None = None,
) -> None:
    """Train to the end, on datasets with the columns of SAMPLES; checkpoints go into `folder`.

    A run resumed from `resume_from` computes what the uninterrupted one would have, but for DeepSpeed on other workers.

    Raises:
        ConfigError: when the disk has no room for the checkpoints, or the model is not as the config says.
        EngineError: when the loss is not finite, or the workers do not train together.
    """
    _set_up(config)
    layout, is_resized = _layout(config, resume_from)
    order = _order(config, layout, train_data)
    steps = config.steps(order.steps_per_epoch)
    if resume_from and _is_over(config, read_state(resume_from), steps):
        return
    new_optimizer = is_resized and config.deepspeed is not None  # DeepSpeed's state fits the number of workers that saved it
    # Before the model: ZeRO-3 partitions it while it is built.
    arguments = _arguments(config, folder, layout, steps, order.steps_per_epoch)
    model, preprocessor = _build(config, task, facts, resume_from if new_optimizer else None)
    _prepare(config, folder, arguments, model)
    trainer = _Trainer(
        config=config,
        order=order,
        new_optimizer=new_optimizer,
        model=model,
        args=arguments,
        data_collator=task.collator(padding_id(_tokenizer(preprocessor), token_rows(model)), facts),
        train_dataset=train_data,
        eval_dataset=_with_labels(validation_data),
        processing_class=preprocessor,
        compute_loss_func=task.loss(),
        callbacks=[Progress(config, layout, order, report)],
        optimizers=(_muon(model, config), None),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=str(resume_from) if resume_from else None)


def _is_over(config: TrainConfig, state: Mapping[str, Any], steps: int) -> bool:
    return state["global_step"] >= steps or stops_early(state["log_history"], config.evaluation.early_stopping)


def _prepare(config: TrainConfig, folder: Path, arguments: TrainingArguments, model: Any) -> None:
    """Check disk and schedule, and set what depends on the model."""
    if problem := space_problem(config, folder, checkpoint_bytes(config, model)):
        raise ConfigError(problem)
    if problem := schedule_problem(config.optimizer, arguments.max_steps):
        _log.warning("%s", problem)
    # Which experts get a gradient depends on the batch.
    arguments.ddp_find_unused_parameters = any("expert" in name for name, one in model.named_parameters() if one.requires_grad)


def _set_up(config: TrainConfig) -> None:
    """Set what holds for this process."""
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers has no type here
    _avoid_cudnn_attention()
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.workers.threads or config.workers.cpus)
    deepspeed.prepare(config)


def _avoid_cudnn_attention() -> None:
    """Compute attention with torch's own kernels.

    cuDNN's backward pass on an H100 or H200 (default since torch 2.11) gives NaN where there is a mask, the width is 64 beyond
    a multiple of 128, and a query scores all keys very low (https://github.com/pytorch/pytorch/issues/196678). The tagger's local
    layers mask whole rows of padding, and its batches have such widths; single heads of language models score so low.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)


def _with_labels(validation: Any) -> Any:
    """Return the validation samples of which something is measured: a batch of others would have no mean.

    Raises: ConfigError: when there is none.
    """
    labels = validation.with_format("arrow")["labels"][:]
    counted = [position for position, one in enumerate(labels) if pc.any(pc.not_equal(one.values, NO_LOSS)).as_py()]
    if not counted:
        raise ConfigError("data.validation: no sample has a label, so no validation loss can be computed")
    return validation if len(counted) == len(validation) else validation.select(counted)


def _layout(config: TrainConfig, resume_from: Path | None) -> tuple[StepLayout, bool]:
    """Return how this group of workers shares a step, and whether its size differs from the checkpoint's."""
    workers = _world_size()
    if not resume_from:
        return first_layout(config, workers), False
    before = read_layout(resume_from)
    layout = StepLayout(workers, before.step_batches)
    if config.deepspeed and workers != before.workers:
        _log.warning("the checkpoint has another number of workers: its weights are loaded, DeepSpeed's optimizer starts anew")
    if not layout.is_even:
        _log.warning(
            "%d workers cannot share the %d batches of a step evenly: a step has %d from now on, and some samples of this "
            "epoch are seen twice or not at all",
            *(workers, before.step_batches, layout.accumulation * workers),
        )
    return layout, workers != before.workers


def _order(config: TrainConfig, layout: StepLayout, train_data: Any) -> SampleOrder:
    lengths: np.ndarray = (
        train_data.lengths if isinstance(train_data, Packed) else train_data.with_format("arrow")["length"][:].to_numpy()
    )
    step_samples = config.batch.size * layout.accumulation * layout.workers
    return SampleOrder(lengths, step_samples, config.seed, config.data.grouping)


def _build(config: TrainConfig, task: Task, facts: Facts, weights: Path | None) -> tuple[Any, Preprocessor]:
    """Return the model to train, with the weights of a checkpoint where given, and its tokenizer or processor."""
    if weights and not config.trains_adapter:
        changed = {
            "model": {"name": str(weights), "trust_remote_code": config.model.trust_remote_code},
            "method": {"kind": "full"},
        }
        task = open_task(TrainConfig.model_validate(config.model_dump() | changed))
    model, preprocessor = task.build(facts)
    frozen, whole = task.frozen_modules(model), task.whole_modules(model)
    adapted = with_adapter(
        model, _tokenizer(preprocessor), config, weights, task_type=task.peft_task_type, frozen=frozen, whole=whole
    )
    return adapted, preprocessor


def _tokenizer(preprocessor: Preprocessor) -> "PreTrainedTokenizerBase":
    tokenizer: Any = getattr(preprocessor, "tokenizer", preprocessor)
    return cast("PreTrainedTokenizerBase", tokenizer)


class _Trainer(Trainer):
    """Trainer with a reproducible order of samples, schedules in fractions of a run, and a check of its engine."""

    def __init__(self, *, config: TrainConfig, order: SampleOrder, new_optimizer: bool, **arguments: Any) -> None:
        self._config = config
        self._order = order
        self._new_optimizer = new_optimizer
        super().__init__(**arguments)

    def _get_train_sampler(self, train_dataset: Any = None) -> SampleOrder:  # noqa: ARG002
        return self._order

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> tuple[list[Any], Any]:
        """Return the batches of a step with the number of their labels, at least 1: a step without any divides by it."""
        batches, labels = super().get_batch_samples(epoch_iterator, num_batches, device)
        return batches, labels.clamp(min=1) if torch.is_tensor(labels) else labels

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        """Return the loss; of a batch without labels, whose mean does not exist, 0 with gradients of 0."""
        labels = inputs["labels"]
        counted = labels[..., 1:] if self._loss_shifts_labels else labels
        if (counted != NO_LOSS).any():
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        with_one = inputs | {"labels": labels.clone()}
        with_one["labels"][..., -1] = 0
        result = super().compute_loss(model, with_one, return_outputs, num_items_in_batch)
        return (result[0] * 0, result[1]) if return_outputs else result * 0

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        """Create the learning-rate schedule; `decay_frac` becomes a number of steps."""
        if self.args.lr_scheduler_type == "warmup_stable_decay":
            decay_steps = math.ceil(self._config.optimizer.decay_frac * num_training_steps)
            self.args.lr_scheduler_kwargs = {"num_decay_steps": decay_steps, "decay_type": "linear"}
        return super().create_scheduler(num_training_steps, optimizer)

    def _prepare_for_training(self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: str | None) -> tuple[Any, Any]:
        state = None if self._new_optimizer else resume_from_checkpoint
        prepared = super()._prepare_for_training(max_steps, train_dataloader, state)  # type: ignore[no-untyped-call]  # untyped there
        model, train_dataloader = prepared
        self._require_engine(model)
        if resume_from_checkpoint:  # the run may be longer now, or the optimizer new
            schedule: Any = getattr(self.lr_scheduler, "scheduler", self.lr_scheduler)  # accelerate wraps that of DeepSpeed
            schedule.last_epoch = self.state.global_step - 1
            schedule.step()
        return model, train_dataloader

    def _require_engine(self, model: Any) -> None:
        """Raise EngineError unless the workers train together, under DeepSpeed where configured: nothing else would show it."""
        workers = _world_size()
        engine = type(model).__name__
        wanted = "DeepSpeedEngine" if self._config.deepspeed else "DistributedDataParallel" if workers > 1 else engine
        if (engine, self.args.world_size) != (wanted, workers):
            raise EngineError(
                f"the {workers} workers were to train together with {wanted}, but this one trains with {engine} in a group of "
                f"{self.args.world_size}; DeepSpeed needs ACCELERATE_USE_DEEPSPEED=true in the workers' environment"
            )
        _log.info("%s over %d workers, %s", engine, workers, self._config.precision)


def _world_size() -> int:
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def _arguments(config: TrainConfig, folder: Path, layout: StepLayout, steps: int, steps_per_epoch: int) -> TrainingArguments:
    on_cpu = not config.workers.gpus
    evaluation_steps = config.evaluation.steps_between(steps_per_epoch)
    return TrainingArguments(
        **_optimizer_arguments(config),
        output_dir=str(folder),
        per_device_train_batch_size=config.batch.size,
        per_device_eval_batch_size=config.batch.size,
        gradient_accumulation_steps=layout.accumulation,
        max_steps=steps,
        seed=config.seed,
        data_seed=config.seed,
        bf16=config.precision == "bfloat16",
        fp16=config.precision == "float16",
        activation_checkpointing=config.gradient_checkpointing,
        deepspeed=deepspeed.render(config),
        use_cpu=on_cpu,
        dataloader_pin_memory=not on_cpu,
        remove_unused_columns=False,
        train_sampling_strategy="group_by_length",  # orders the validation samples; SampleOrder orders the others
        length_column_name="length",
        prediction_loss_only=True,
        eval_strategy="steps",
        eval_steps=evaluation_steps,
        save_strategy="steps",
        save_steps=config.checkpoint.every_steps,
        logging_steps=min(_LOG_EVERY_STEPS, evaluation_steps),
        logging_first_step=True,
        logging_nan_inf_filter=False,  # it would hide a loss that is not finite
        report_to=["tensorboard"] if config.output.tensorboard else [],
        disable_tqdm=True,
        ddp_find_unused_parameters=False,
    )


def _optimizer_arguments(config: TrainConfig) -> dict[str, Any]:
    optimizer = config.optimizer
    return {
        **({"optim": "paged_adamw_32bit"} if optimizer.kind == "paged_adamw" else {}),
        "learning_rate": optimizer.learning_rate,
        "adam_beta1": optimizer.betas[0],
        "adam_beta2": optimizer.betas[1],
        "adam_epsilon": optimizer.eps,
        "weight_decay": optimizer.weight_decay,
        "max_grad_norm": optimizer.max_grad_norm,
        "lr_scheduler_type": _SCHEDULES[optimizer.schedule],
        "warmup_steps": optimizer.warmup_steps,
    }


def _muon(model: torch.nn.Module, config: TrainConfig) -> torch.optim.Optimizer | None:
    optimizer = config.optimizer
    if optimizer.kind != "muon":
        return None
    return MuonWithAdamW(
        model, lr=optimizer.learning_rate, betas=optimizer.betas, eps=optimizer.eps, weight_decay=optimizer.weight_decay
    )
