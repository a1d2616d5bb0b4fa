"""Old and British spellings that language models tend to modernise although they were printed so."""

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
"""(old, new) parts of words and phrases, in lower case, such as `our` > `or` for `colour` > `color`."""
_ANY_OLD = re.compile("|".join(re.escape(old) for old, _ in MODERNISATIONS))


def modernised(text: str) -> str:
    """Return `text` with the first matching rule applied, unchanged when none matches."""
    return next((text.replace(old, new) for old, new in MODERNISATIONS if old in text), text)


def modernises(raw: str, corrected: str) -> bool:
    """Return True when the texts differ, capitals aside, only by one modernised spelling."""
    before, after = raw.lower(), corrected.lower()
    if before == after or not _ANY_OLD.search(before):
        return False
    return any(old in before and before.replace(old, new) == after for old, new in MODERNISATIONS)
