"""Accepts or refuses what a corrector proposes, span by span, with a reason a person can read."""

from ocrray.guard.judge import GuardConfig, Judgement, check, judge

__all__ = ["GuardConfig", "Judgement", "check", "judge"]
