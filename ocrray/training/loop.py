"""The one training loop: transformers.Trainer with PEFT and DeepSpeed, told what to do by the config and the task."""

import logging
import math
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, TrainingArguments
from transformers.utils import logging as transformers_logging

from ocrray.errors import EngineError
from ocrray.training import deepspeed
from ocrray.training.adapters import with_adapter
from ocrray.training.checkpoint import StepLayout, first_layout, read_layout
from ocrray.training.config import TrainConfig
from ocrray.training.history import read_state
from ocrray.training.optimizers import MuonWithAdamW
from ocrray.training.order import SampleOrder
from ocrray.training.packing import Packed
from ocrray.training.progress import Progress, Report
from ocrray.training.tasks import NO_LOSS, Facts, Task, open_task

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
    train_data: Any,
    validation_data: Any,
    folder: Path,
    report: Report,
    resume_from: Path | None = None,
) -> None:
    """Train to the end; `train_data` and `validation_data` are `datasets.Dataset`s of SAMPLES, checkpoints go into `folder`.

    A run that goes on from a checkpoint computes what the uninterrupted one would have, also with another number of workers; but
    DeepSpeed's optimizer begins anew then. Raises EngineError when the loss is no longer a number.
    """
    transformers_logging.disable_progress_bar()
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.workers.threads or config.workers.cpus)
    layout, is_resized = _layout(config, resume_from)
    lengths = train_data.lengths if isinstance(train_data, Packed) else train_data.with_format("arrow")["length"][:].to_numpy()
    step_samples = config.batch.size * layout.accumulation * layout.workers
    order = SampleOrder(lengths, step_samples, config.seed, grouped=config.data.grouping == "length")
    steps = config.max_steps or math.ceil(config.epochs * order.steps_per_epoch)
    if resume_from and read_state(resume_from)["global_step"] >= steps:
        return
    begins_anew = is_resized and config.deepspeed is not None
    if begins_anew:
        _log.warning(
            "the checkpoint is of another number of workers: its weights are taken up, DeepSpeed's optimizer begins anew"
        )
    deepspeed.prepare(config)
    arguments = _arguments(config, folder, layout, steps)  # before the model: under ZeRO-3 it is built in pieces
    model, tokenizer = _build(config, task, facts, resume_from if begins_anew else None)
    trainer = _Trainer(
        config=config,
        order=order,
        begins_anew=begins_anew,
        model=model,
        args=arguments,
        data_collator=task.collator(tokenizer),
        train_dataset=train_data,
        eval_dataset=validation_data,
        processing_class=tokenizer,
        compute_loss_func=_token_loss if config.task.kind == "edit_tagging" else None,
        callbacks=[Progress(config, layout, order, report)],
        optimizers=(_muon(model, config), None),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=str(resume_from) if resume_from else None)


def _layout(config: TrainConfig, resume_from: Path | None) -> tuple[StepLayout, bool]:
    """How this group of workers shares a step, and whether it is another group than the checkpoint's."""
    workers = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    if not resume_from:
        return first_layout(config, workers), False
    before = read_layout(resume_from)
    layout = StepLayout(workers, before.step_batches)
    if not layout.is_even:
        _log.warning(
            "%d workers cannot share the %d batches of a step evenly: a step has %d from now on, and some samples of this "
            "epoch are seen twice or not at all",
            *(workers, before.step_batches, layout.accumulation * workers),
        )
    return layout, workers != before.workers


def _build(config: TrainConfig, task: Task, facts: Facts, weights: Path | None) -> tuple[Any, Any]:
    """The model as it is trained, and its tokenizer; with the weights of a checkpoint where they are given."""
    if weights and config.method.kind in ("full", "from_scratch"):
        whole = {"model": {"name": str(weights), "trust_remote_code": config.model.trust_remote_code}, "method": {"kind": "full"}}
        task = open_task(TrainConfig.model_validate(config.model_dump() | whole))
    model, tokenizer = task.build(facts)
    return with_adapter(model, tokenizer, config, weights), tokenizer


class _Trainer(Trainer):
    """A Trainer that finds every sample again, knows shares of a run, and makes sure of the engine that it trains with."""

    def __init__(self, *, config: TrainConfig, order: SampleOrder, begins_anew: bool, **arguments: Any) -> None:
        self._config = config
        self._order = order
        self._begins_anew = begins_anew
        super().__init__(**arguments)

    def _get_train_sampler(self, train_dataset: Any = None) -> SampleOrder:  # noqa: ARG002
        return self._order

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        if self.args.lr_scheduler_type == "warmup_stable_decay":
            decay_steps = math.ceil(self._config.optimizer.decay_frac * num_training_steps)
            self.args.lr_scheduler_kwargs = {"num_decay_steps": decay_steps, "decay_type": "linear"}
        return super().create_scheduler(num_training_steps, optimizer)

    def _prepare_for_training(self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: str | None) -> tuple[Any, Any]:
        state = None if self._begins_anew else resume_from_checkpoint
        model, train_dataloader = super()._prepare_for_training(max_steps, train_dataloader, state)
        self._require_engine(model)
        if self._begins_anew:
            schedule = self.lr_scheduler.scheduler  # inside of accelerate's
            schedule.last_epoch = self.state.global_step - 1
            schedule.step()
        return model, train_dataloader

    def _require_engine(self, model: Any) -> None:
        """Raise EngineError where the workers do not train together, or without DeepSpeed: nobody would notice."""
        workers = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        engine = type(model).__name__
        wanted = "DeepSpeedEngine" if self._config.deepspeed else "DistributedDataParallel" if workers > 1 else engine
        if (engine, self.args.world_size) != (wanted, workers):
            raise EngineError(
                f"the {workers} workers were to train together with {wanted}, but this one trains with {engine} in a group of "
                f"{self.args.world_size}; DeepSpeed needs ACCELERATE_USE_DEEPSPEED=true in the workers' environment"
            )
        _log.info("%s over %d workers, %s", engine, workers, self._config.precision)


def _arguments(config: TrainConfig, folder: Path, layout: StepLayout, steps: int) -> TrainingArguments:
    optimizer = config.optimizer
    on_cpu = not config.workers.gpus
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=config.batch.size,
        per_device_eval_batch_size=config.batch.size,
        gradient_accumulation_steps=layout.accumulation,
        max_steps=steps,
        learning_rate=optimizer.learning_rate,
        adam_beta1=optimizer.betas[0],
        adam_beta2=optimizer.betas[1],
        adam_epsilon=optimizer.eps,
        weight_decay=optimizer.weight_decay,
        max_grad_norm=optimizer.max_grad_norm,
        lr_scheduler_type=_SCHEDULES[optimizer.schedule],
        warmup_steps=optimizer.warmup_steps,
        seed=config.seed,
        data_seed=config.seed,
        bf16=config.precision == "bfloat16",
        fp16=config.precision == "float16",
        activation_checkpointing=config.gradient_checkpointing,
        deepspeed=deepspeed.render(config),
        use_cpu=on_cpu,
        dataloader_pin_memory=not on_cpu,
        remove_unused_columns=False,
        train_sampling_strategy="group_by_length",  # of the validation samples; SampleOrder orders the others
        length_column_name="length",
        prediction_loss_only=True,
        eval_strategy="steps",
        eval_steps=config.evaluation.every_steps,
        save_strategy="steps",
        save_steps=config.checkpoint.every_steps,
        logging_steps=min(_LOG_EVERY_STEPS, config.evaluation.every_steps),
        logging_first_step=True,
        logging_nan_inf_filter=False,  # it would hide what ends the run
        report_to=["tensorboard"] if config.output.tensorboard else [],
        disable_tqdm=True,
        ddp_find_unused_parameters=False,
    )


def _token_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | None = None) -> torch.Tensor:
    """The mean over all tokens of a step; models for token classification know but that of a batch, and means do not add up."""
    logits = outputs["logits"].flatten(0, 1).float()
    if num_items_in_batch is None:
        return torch.nn.functional.cross_entropy(logits, labels.flatten(), ignore_index=NO_LOSS)
    return torch.nn.functional.cross_entropy(logits, labels.flatten(), ignore_index=NO_LOSS, reduction="sum") / num_items_in_batch


def _muon(model: Any, config: TrainConfig) -> torch.optim.Optimizer | None:
    optimizer = config.optimizer
    if optimizer.kind != "muon":
        return None
    return MuonWithAdamW(
        model, lr=optimizer.learning_rate, betas=optimizer.betas, eps=optimizer.eps, weight_decay=optimizer.weight_decay
    )
