import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyspace.store.seal import seal, unseal

LINE = seal('{"clip":"v_Tähti","item":3}')


@given(st.dictionaries(st.text(min_size=1), st.integers() | st.text() | st.none(), min_size=1))
def test_what_was_sealed_is_what_is_unsealed(said):
    line = seal(json.dumps(said, ensure_ascii=False))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(unseal(line.removesuffix(b"\n"))) == said


def test_a_sealed_line_is_json_that_ends_with_the_crc32c_of_what_stands_before():
    assert list(json.loads(LINE)) == ["clip", "item", "crc32c"]
    # The check value of CRC-32/ISCSI.
    assert seal("123456789}") == b'123456789,"crc32c":"e3069283"}\n'


def test_every_flipped_bit_is_noticed():
    good = LINE.removesuffix(b"\n")
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match="crc32c differs"):
            unseal(bytes(bad))


def test_every_shortened_line_is_noticed():
    good = LINE.removesuffix(b"\n")
    for kept in range(len(good)):
        with pytest.raises(ValueError, match="crc32c differs"):
            unseal(good[:kept])
