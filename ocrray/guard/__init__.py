"""Accepts or refuses what a corrector proposes, with a reason a person can read."""

from ocrray.guard.rules import GuardConfig, Judgement, judge

__all__ = ["GuardConfig", "Judgement", "judge"]
