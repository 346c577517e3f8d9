"""Ids in the one form in which they are compared. Pure; no Beam."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_SHORT_BYTES, _LONG_BYTES = 15, 18

_CHECKSUM = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345", np.uint8)

_UUID = r"(?i)^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


def lengthen(ids: pa.StringArray, prefix: str = "") -> pa.StringArray:
    """The 18-character form of Salesforce ids of 15 letters and digits; any other text as it is.

    Each of the three chunks of five characters gives a check character: bit i is set if character i is
    an upper-case letter, and the five bits are an index into A-Z0-5.

        chunk   upper case                bits             check character
        0Mwbb   character 1, M            00010 = 2        C
        00000   none                      00000 = 0        A
        7MGoT   1, 2 and 4: M, G, T       10110 = 22       W

    >>> lengthen(pa.array(["0Mwbb000007MGoT", "my-conversation"])).to_pylist()
    ['0Mwbb000007MGoTCAW', 'my-conversation']

    Args:
      ids: the ids.
      prefix: what an id begins with, if only ids of one kind are meant.

    Returns:
      The very array, if it has no such id.
    """
    short = pc.equal(pc.binary_length(ids), _SHORT_BYTES)
    if pc.any(short).as_py():
        short = pc.and_(short, pc.match_substring_regex(ids, f"^{prefix}[0-9A-Za-z]*$"))
    if not pc.any(short).as_py():
        return ids
    short = short.fill_null(False)
    chosen = ids.filter(short)
    fixed = chosen.cast(pa.binary()).cast(pa.binary(_SHORT_BYTES))
    characters = np.frombuffer(fixed.buffers()[1], np.uint8)[: len(fixed) * _SHORT_BYTES]
    characters = characters.reshape(-1, _SHORT_BYTES)
    upper = ((characters >= ord("A")) & (characters <= ord("Z"))).reshape(-1, 3, 5)
    checks = _CHECKSUM[(upper << np.arange(5)).sum(axis=2)]
    data = np.concatenate([characters, checks], axis=1)
    offsets = np.arange(0, data.size + 1, _LONG_BYTES, dtype=np.int32)
    longer = pa.StringArray.from_buffers(len(data), pa.py_buffer(offsets), pa.py_buffer(data))
    return pc.replace_with_mask(ids, short, longer)


def comparable(ids: pa.StringArray) -> pa.StringArray:
    """One text for all ids that are alike: the long form of Salesforce's, UUIDs in lower case.

    >>> comparable(pa.array(["0dwbb0000000001", "8A1D7C52-6D0E-4C3A-9A0F-2C9B3E1F4D10"])).to_pylist()
    ['0dwbb0000000001AAA', '8a1d7c52-6d0e-4c3a-9a0f-2c9b3e1f4d10']
    """
    ids = lengthen(ids)
    mixed = pc.and_(pc.equal(pc.binary_length(ids), 36), pc.match_substring_regex(ids, "[A-F]"))
    if pc.any(mixed).as_py():
        mixed = pc.and_(mixed, pc.match_substring_regex(ids, _UUID))
        ids = pc.if_else(mixed, pc.utf8_lower(ids), ids)
    return ids
