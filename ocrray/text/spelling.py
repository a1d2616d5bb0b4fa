"""Spellings as printed: old, British or American ones that are made new, and abbreviations that are written out."""

import re
from functools import cache, lru_cache
from itertools import chain
from types import MappingProxyType

from rapidfuzz.distance import Levenshtein

from ocrray.text.orthography import modernises

# old>new; ^ and $ are the ends of a word. Only what OCR does not confuse: `f>s` is no rule, for it is a long s misread.
_RULES = """
ick$>ic icks$>ics ickly$>icly our$>or lor$>lour nor$>nour bor$>bour vor$>vour mor$>mour dor$>dour por$>pour ours$>ors ors$>ours
oured$>ored ored$>oured ouring$>oring oring$>ouring ourable>orable orable>ourable ourite>orite orite>ourite ourful>orful
orful>ourful ourer>orer orer>ourer ourhood>orhood ourless>orless ise>ize ize>ise isi>izi izi>isi isa>iza iza>isa yse>yze yze>yse
ysi>yzi tre$>ter ter$>tre tres$>ters lled$>led eled$>elled avelled>aveled lling$>ling eling$>elling ller>ler ler>ller ogue$>og
og$>ogue gramme>gram que$>ck que$>c que$>k cque>ck ence$>ense ense$>ence ences$>enses ency$>ensy enc>ens ^en>in ^in>en ^im>em
^em>im shew>show chym>chem vertu>virtu perfit>perfect agreabl>agreeabl wellcom>welcom sallad>salad sugred>sugared moneth>month
tred$>tered wherof>whereof therof>thereof wherin>wherein therin>therein wherby>whereby therby>thereby divers>diverse
ilful>illful œ>oe æ>ae shakspear>shakespear hindoo>hindu mahomet>muhammad mussulman>muslim thibet>tibet servia>serbia
roumania>romania corea>korea sirname>surname surprize>surprise phantasy>fantasy caravansery>caravanserai chus>choos choak>choke
cloaths$>clothes cloath>cloth clew>clue gaol>jail exion>ection æ>e œ>e aed>ed ^oe>e ^ae>e aeo>eo oed>ed oeu>eu 'd>ed 'st$>est
'n$>en pt$>pped pt$>ped xt$>xed st$>ssed rnt$>rned lt$>lled lt$>led kt$>ked mt$>med cht$>ched sht$>shed yed$>ied ys$>ies
yes$>ies ie$>y ies$>ys y>i pleat>plete som$>some oms$>omes wholsom>wholesom houshold>household tious>cious tial>cial tient>cient
oul>ol ei>ie ie>ei oak>oke oke>oak oud>owd owd>oud oar$>ore ful$>full full$>ful quet>ket sw>su ^vn>un ^vp>up ^vs$>us ^vt>ut
eth$>es eth$>s surpriz>surpris enterpriz>enterpris merchandiz>merchandis stedfast>steadfast sted$>stead thred>thread bred>bread
spred>spread burthen>burden murther>murder lanthorn>lantern waggon>wagon gipsey>gipsy ancle>ankle sceptic>skeptic disc>disk
mould>mold mold>mould plough>plow plow>plough draught>draft grey>gray gray>grey tyre>tire kerb>curb storey>story
programme>program aluminium>aluminum whisky>whiskey jewellery>jewelry woollen>woolen marvellous>marvelous cypher>cipher
befal$>befall recal$>recall instal$>install distil$>distill enrol$>enroll fulfil$>fulfill compell$>compel expell$>expel
propell$>propel comptrol>control cieling>ceiling smoak>smoke sope>soap cole$>coal stile$>style rhime>rhyme rime$>rhyme
shoar>shore hainous>heinous heyn>hein ballance>balance vallie>valle colledge>college knowlege>knowledge alledge>allege
judgement>judgment acknowledgement>acknowledgment lodgement>lodgment abridgement>abridgment dutchess>duchess dutchy>duchy
bason>basin chace>chase cotemporar>contemporar despatch>dispatch dispatch>despatch independant>independent dependance>dependence
ascendant>ascendent negociat>negotiat secresy>secrecy vicious>vitious vitious>vicious visiter>visitor sadler>saddler
traytor>traitor taylor>tailor tryal>trial loyal>loial groupe$>group gulph>gulf phrenzy>frenzy phantas>fantas ph>f poney>pony
develope$>develop synonime>synonym height>heighth heighth>height immoveable>immovable moveable>movable sizeable>sizable
saleable>salable likeable>likable ageing>aging to-day>today to-morrow>tomorrow to-night>tonight neice>niece hath>has doth>does
saith>says whilst>while amongst>among betwixt>between spake>spoke brake>broke sate>sat ye>the ye>you thou>you thee>you thy>your
thine>yours hast>have shalt>shall hither>here thither>there whither>where nigh>near oft>often ere>before haue>have loue>love
giue>give ouer>over euer>ever neuer>never euery>every liue>live aboue>above heauen>heaven seruant>servant diuers>divers farr>far
sonn>son shipp>ship warr>war hadd>had allso>also allmost>almost allwayes>always untill>until ankor>anchor ake>ache oit$>ait
ois>ais oient$>aient oître>aître oible>aible ans$>ants ens$>ents tems>temps tem>temp sç>s es>ê as>â os>ô ast>ât ust>ût ust$>ut
ist>ît ez$>és oix$>ois collége>collège siége>siège piége>piège privilége>privilège cortége>cortège poëte>poète poëme>poème
poësie>poésie rhythme>rythme solemnel>solennel nostre>notre vostre>votre autheur>auteur th>t iren>ieren irt>iert giebt>gibt
gieng>ging fieng>fing hieng>hing ß>ss ss>ß dt$>t dte>te brod>brot ct>kt cc>kk ^ae>ä ^oe>ö ^ue>ü ä>ae ö>oe ü>ue aa>a niß>nis
sammt>samt litteratur>literatur hülfe>hilfe gleichgilt>gleichgült eilf>elf itzt>jetzt kömmt>kommt capitel>kapitel classe>klasse
centr>zentr cultur>kultur charakter>karakter character>charakter concert>konzert credit>kredit casse>kasse colonie>kolonie
commission>kommission compagnie>kompanie heerd>herd seelig>selig public>publik ceremon>zeremon proceß>prozeß proceß>prozess
princip>prinzip medicin>medizin officier>offizier special>spezial social>sozial provinc>provinz ceder>zeder ssch>ss sch$>s
sche>se schen>sen ae>aa gh>g ck>k zoo>zo heeren>heren deeze>deze dixo>dijo xo>jo xe>je ^qu>cu ç>z fué>fue dió>dio vió>vio
muger>mujer ^á$>a ^é$>e ^ó$>o principj>principi ij$>ii pj$>pii hebbe>ebbe hanno>anno elle$>ele ella$>ela anno$>ano aquell>aquel
commerc>comerc hv>v fv>v af$>av qv>kv aa>å ъ$> ѣ>е і>и ѳ>ф аго$>ого яго$>его ыя$>ые
"""
_SILENT_E = re.compile(r"(?=.{4})(.*[bdfgklmnpstw])e")
_MIN_LETTERS = 3
_WORD = re.compile(r"['’]?[^\W\d_]+(?:['’-][^\W\d_]+)*['’]?")
# Abbreviations that need no point, by what they stand for; with a point any beginning or contraction of a word counts.
_WRITTEN_OUT = """
mr>mister mrs>mistress|missus dr>doctor st>saint|street|sankt revd>reverend rev>reverend hon>honourable|honorable esq>esquire
capt>captain col>colonel gen>general lieut>lieutenant lt>lieutenant sergt>sergeant sgt>sergeant serjt>serjeant corpl>corporal
maj>major regt>regiment batt>battalion govt>government dept>department messrs>messieurs wm>william jas>james jno>john
chas>charles thos>thomas geo>george robt>robert richd>richard edwd>edward saml>samuel benj>benjamin jos>joseph alexr>alexander
danl>daniel hy>henry bart>baronet bt>baronet co>company|county bros>brothers jun>junior jr>junior sen>senior sr>senior
inst>instant ult>ultimo prox>proximo do>ditto vol>volume no>number nos>numbers pp>pages p>page chap>chapter ch>chapter
viz>namely|videlicet etc>etcetera ie>that eg>for cwt>hundredweight lb>pound lbs>pounds oz>ounces|ounce yd>yard yds>yards
ft>feet|foot hhd>hogshead qr>quarter qrs>quarters jan>january feb>february mar>march apr>april jun>june jul>july aug>august
sept>september sep>september oct>october nov>november dec>december mme>madame mlle>mademoiselle hr>herr fr>frau nr>nummer
bzw>beziehungsweise usw>und dgl>dergleichen sr>señor|senhor sra>señora dn>don da>doña wch>which yt>that ye>the ym>them
yr>your|year wd>would cd>could shd>should hund>hundred recd>received afsd>aforesaid sd>said u>und z>zum|zur b>beispiel h>heißt
d>das|der|die xtian>christian xmas>christmas
"""
_ABBREVIATIONS = MappingProxyType(
    {short: tuple(full.split("|")) for short, _, full in (pair.partition(">") for pair in _WRITTEN_OUT.split())}
)
_SIGNS = MappingProxyType(
    {"&": ("and", "et", "und", "y", "e", "en", "och", "og"), "&c": ("etc", "etcetera", "and"), "@": ("at",)}
)
_PARTS = re.compile(r"[\s-]+")
_OUTER_MARKS = "\"'“”‘’()[],;:"
_INITIALS = re.compile(r"(?:[A-Z]\.){2,}|[A-Z]{2,4}")
_FREQUENT = frozenset(
    {"the", "an", "of", "and", "to", "in", "is", "it", "he", "be", "was", "for", "as", "at", "by", "on", "or"}
) | {*("his", "her", "had", "but", "all", "so", "we", "me", "my", "that", "with", "not", "this", "are", "from", "they", "one")}
_CONTRACTIONS = re.compile(
    r"(?:'tis|'twas|'twere|'twill|'em|o'er|e'er|ne'er|e'en|ev'n|tho'|thro'|altho'|th'|i'th'|o'th'|ta'en|heav'n|pow'r|flow'r"
    r"|[a-z]{2,}'d|i'[dm]|(?:i|you|he|she|it|we|they|that|there|who|what)'(?:s|ll|re|ve|d)|giv'n|driv'n|(?:[a-z]+n't)|can't|won't|shan't|cou'd|wou'd|shou'd)"
)


def respells(raw: str, corrected: str) -> bool:
    """Return True when a word of `raw` is only spelt otherwise in `corrected`: as today, or as across the Atlantic.

    `publick` > `public`, `colour` > `color`, `étoit` > `était`, `Thür` > `Tür`, `hath` > `has`; capitals aside.
    """
    if modernises(raw, corrected):
        return True
    return any(is_respelling(old, new) for old, new in _changed_words(raw, corrected))


@lru_cache(maxsize=16_384)
def is_respelling(old: str, new: str) -> bool:
    """Return True when spelling rules alone lead from the word `old` to `new` (lower case)."""
    if len(old) < _MIN_LETTERS and old != "ye":
        return False
    silent = _SILENT_E.fullmatch(old)
    if silent and silent.group(1) == new:
        return True
    distance = Levenshtein.distance(old, new)
    for start, end, part in _applicable(old):
        written = old[:start] + part + old[end:]
        nearer = written == new or (Levenshtein.distance(written, new) < distance and is_respelling(written, new))
        if nearer:
            return True
    return False


def writes_out(raw: str, corrected: str) -> bool:
    """Return True when an abbreviation of `raw` is written out in `corrected`, or a word of `raw` abbreviated.

    `Capt.` > `Captain`, `Wm` > `William`, `M.P.` > `Member of Parliament`, `don't` > `do not`, `&` > `and`.
    """
    old, new = _PARTS.split(raw), _PARTS.split(corrected)
    if len(old) > len(new):  # joined: `com. mitted` had a hyphen at a line's end
        return False
    if len(old) == len(new):
        pairs = [(one, other) for one, other in zip(old, new, strict=True) if one != other]
        if any(_is_short_for(one, other) or _is_listed(other, one) for one, other in pairs):
            return True
    else:
        pairs = [(one, other) for one in old if one not in new for other in new if other not in old]
        if any(_is_short_for(one, other) for one, other in pairs) or any(
            _are_initials(one, new) for one in old if one not in new
        ):
            return True
    return any(_is_contraction(one) and _expanded(one, new) for one in {one for one, _ in pairs})


def _changed_words(raw: str, corrected: str) -> list[tuple[str, str]]:
    old, new = (_WORD.findall(text.lower().replace("’", "'")) for text in (raw, corrected))
    if len(old) == len(new):
        return [(one, other) for one, other in zip(old, new, strict=True) if one != other]
    return []  # words split or joined: the phrases of `modernises`


@cache
def _rules() -> dict[str, list[tuple[str, str, bool, bool]]]:
    """Return the rules by their first letter: (old, new, only at the start, only at the end)."""
    rules: dict[str, list[tuple[str, str, bool, bool]]] = {}
    for rule in _RULES.split():
        old, _, new = rule.partition(">")
        part = old.strip("^$")
        rules.setdefault(part[0], []).append((part, new, old[0] == "^", old[-1] == "$"))
    return rules


def _applicable(word: str) -> chain[tuple[int, int, str]]:
    rules = _rules()
    return chain.from_iterable(
        (
            (start, start + len(part), new)
            for part, new, at_start, at_end in rules.get(char, ())
            if word.startswith(part, start) and (not at_start or start == 0) and (not at_end or start + len(part) == len(word))
        )
        for start, char in enumerate(word)
    )


def _is_short_for(short: str, word: str) -> bool:
    """Return True when `short` abbreviates `word`: listed, or with a point at its end and the letters of the word in order."""
    sign = short.rstrip(".,;:")
    full = _alphabetic(word)
    if sign in _SIGNS:
        return full in _SIGNS[sign]
    core, end = short.strip(_OUTER_MARKS), word.strip(_OUTER_MARKS)[-1:]
    letters = _alphabetic(core)
    if not letters or full in _ABBREVIATIONS.get(letters, ()):
        return bool(letters)
    if not core.endswith(".") or end == "." or letters in _FREQUENT or not core[:-1].replace(".", "").isalpha():
        return False
    if len(letters) == 1:
        return core[0].isupper() and word.strip(_OUTER_MARKS)[:1] == core[0] and len(full) > _MIN_LETTERS
    remaining = iter(full)
    return len(full) >= len(letters) + 2 and letters[0] == full[0] and all(letter in remaining for letter in letters)


def _is_listed(short: str, word: str) -> bool:
    return _alphabetic(word) in _ABBREVIATIONS.get(_alphabetic(short), ())


def _are_initials(short: str, words: list[str]) -> bool:
    if not _INITIALS.fullmatch(short.strip(",;:()")):
        return False
    remaining = iter(word[:1].lower() for word in words)
    return all(letter in remaining for letter in _alphabetic(short))


def _alphabetic(text: str) -> str:
    return "".join(filter(str.isalpha, text)).lower()


def _is_contraction(word: str) -> bool:
    return bool(_CONTRACTIONS.fullmatch(word.lower().replace("’", "'").strip('"“”(),.;:!?')))


def _expanded(short: str, words: list[str]) -> bool:
    """Return True when no word is the contraction, with or without its apostrophe, and the words begin or end as it does."""
    plain = _alphabetic(short)
    forms = [_alphabetic(word) for word in words]
    first = short.lstrip('"“”(')[:1].lower()
    if plain in forms or not any(forms) or (first.isalpha() and not any(form.startswith(first) for form in forms)):
        return False
    whole = "".join(forms)
    remaining = iter(whole)
    return "'" not in "".join(words).replace("’", "'") and all(letter in remaining for letter in plain)
