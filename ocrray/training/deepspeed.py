"""DeepSpeed settings of a run, rendered from its config."""

from typing import Any

from ocrray.training.settings import RunSettings


def prepare(config: RunSettings) -> None:
    """Make DeepSpeed communicate by gloo alone on CPUs: its shared-memory operator is compiled first, with g++, for 30 s."""
    if config.deepspeed and not config.workers.gpus:
        import deepspeed.ops

        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def render(config: RunSettings) -> dict[str, Any] | None:
    """Return DeepSpeed's settings (https://www.deepspeed.ai/docs/config-json), None for a run without it.

    transformers fills in the `auto` values. The optimizer is torch's own, which needs no compiler, except where the worker of a
    GPU offloads its optimizer to the CPU.
    """
    settings = config.deepspeed
    if settings is None:
        return None
    on_cpu = not config.workers.gpus
    zero: dict[str, Any] = {"stage": settings.zero_stage, "overlap_comm": not on_cpu, "contiguous_gradients": True}
    if settings.zero_stage and settings.offload_optimizer:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": not on_cpu}
    if settings.zero_stage == 3:
        zero["stage3_gather_16bit_weights_on_model_save"] = True
        if settings.offload_params:
            zero["offload_param"] = {"device": "cpu", "pin_memory": not on_cpu}
    optimizer = config.optimizer
    on_torch = on_cpu or not settings.offload_optimizer
    return {
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": optimizer.max_grad_norm,
        "zero_optimization": zero,
        "bf16": {"enabled": config.precision == "bfloat16"},
        "fp16": {"enabled": config.precision == "float16"},
        "optimizer": {
            "type": "AdamW",
            "params": {
                "lr": optimizer.learning_rate,
                "betas": list(optimizer.betas),
                "eps": optimizer.eps,
                "weight_decay": optimizer.weight_decay,
                "torch_adam": on_torch,
            },
        },
        "wall_clock_breakdown": False,
        "steps_per_print": 10**9,
    }
