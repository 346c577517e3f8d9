"""What a reject may show of the value that is at fault. Pure; no Beam."""

import pyarrow as pa
import pyarrow.compute as pc

from transforms.reading.values import to_text

# One token. Other text may be anybody's words.
_TOKEN = r"[A-Za-z0-9_.:+/-]{1,40}"

_DAYS = (
    "Mon(?:day)?|Tue(?:sday)?|Wed(?:nesday)?|Thu(?:rsday)?|Fri(?:day)?|Sat(?:urday)?|Sun(?:day)?"
)
_MONTHS = (
    "Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sep(?:tember)?|"
    "Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?"
)
_NAME = rf"(?:{_DAYS}|{_MONTHS})[,.]?"
_DIGITS = r"\d[\d:./,+-]*"
_ZONE = r"[AaPp]\.?[Mm]\.?|[+-]\d[\d:]*|[A-Z]{1,4}"

# Up to two names, then digits, then more of either: the shortest such as `2 Oct`.
_INSTANT = rf"(?:{_NAME} ){{0,2}}{_DIGITS}(?: (?:{_NAME}|{_DIGITS}|{_ZONE})){{1,5}}"

_SHOWABLE = f"^(?:{_TOKEN}|{_INSTANT})$"


def to_details(values: pa.Array) -> pa.StringArray:
    """Values as texts: as they are if they look like one token or an instant, else how long they are.

    >>> to_details(pa.array(["Ghost", "Oct 2, 2024 12:00 PM", "see you at noon", None])).to_pylist()
    ['Ghost', 'Oct 2, 2024 12:00 PM', 'a text of 15 characters', '']
    """
    texts = to_text(values)
    lengths = pc.utf8_length(texts).cast(pa.string())
    other = pc.binary_join_element_wise("a text of ", lengths, " characters", "")
    return pc.if_else(pc.match_substring_regex(texts, _SHOWABLE), texts, other).fill_null("")
