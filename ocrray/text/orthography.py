"""Old and British spellings that models of today like to change: what was printed is no error, however odd it looks."""

import re

_WORD_PARTS = """
our>or ise>ize isa>iza tre>ter shew>show clew>clue gaol>jail lled>led lling>ling connexion>connection æ>e œ>e wilful>willful
enquir>inquir grey>gray burthen>burden mould>mold ence>ense yse>yze ogue>og 'd>ed chuse>choose surprize>surprise ſ>s
phrenzy>frenzy ancle>ankle ick>ic waggon>wagon cheque>check storey>story plough>plow draught>draft sceptic>skeptic
programme>program to-day>today to-night>tonight to-morrow>tomorrow
"""
_PHRASES = """
any one>anyone, some one>someone, every one>everyone, any thing>anything, some thing>something, every thing>everything,
for ever>forever, mean time>meantime, good bye>goodbye, an h>a h
"""
MODERNISATIONS: tuple[tuple[str, str], ...] = tuple(
    (old, new) for old, _, new in (rule.partition(">") for rule in [*_WORD_PARTS.split(), *map(str.strip, _PHRASES.split(","))])
)
"""(old, new): pieces of words, and phrases, in lower case; `wagon` for `waggon`, `color` for `colour`."""
_ANY_OLD = re.compile("|".join(re.escape(old) for old, _ in MODERNISATIONS))


def modernised(text: str) -> str:
    """`text` with the first old spelling in it made new; as it was where there is none."""
    return next((text.replace(old, new) for old, new in MODERNISATIONS if old in text), text)


def modernises(raw: str, corrected: str) -> bool:
    """Whether one new spelling for an old one is all that differs, but for capitals."""
    before, after = raw.lower(), corrected.lower()
    if before == after or not _ANY_OLD.search(before):
        return False
    return any(old in before and before.replace(old, new) == after for old, new in MODERNISATIONS)
