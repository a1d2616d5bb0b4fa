"""Guard: accept or refuse the edits that a corrector proposes, span by span, with a readable reason."""

from ocrray.guard.judge import GuardConfig, Judgement, check, judge, knows_language

__all__ = ["GuardConfig", "Judgement", "check", "judge", "knows_language"]
