"""Tags and lengths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.sniff import Hit, Need
from streamproxy.sniff.starttls.ber import BerError, Element, element, elements, integer, sniff_element

from ..feeding import is_final, patient, why


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 70000])
def test_what_is_written_is_read(size: int) -> None:
    written = element(0x30, bytes(size))
    verdict = sniff_element(written, 0)
    assert isinstance(verdict, Hit)
    assert verdict.value == Element(0x30, len(written) - size, len(written))
    assert [one.tag for one in elements(written * 2, 0, 2 * len(written))] == [0x30, 0x30]


def test_several_contents_are_one() -> None:
    assert element(4, b"ab", b"", b"c") == b"\4\3abc"


@pytest.mark.parametrize(
    ("number", "written"), [(0, "020100"), (127, "02017f"), (128, "02020080"), (65535, "020300ffff")]
)
def test_numbers_keep_their_sign(number: int, written: str) -> None:
    assert integer(number).hex() == written


@pytest.mark.parametrize(("window", "at_least"), [(b"", 2), (b"\x30", 2), (b"\x30\x82", 4), (b"\x30\x82\1", 4)])
def test_a_length_is_waited_for(window: bytes, at_least: int) -> None:
    assert sniff_element(window, 0) == Need(at_least)


def test_an_element_may_begin_anywhere() -> None:
    assert sniff_element(b"xx\4", 2) == Need(4)
    assert sniff_element(b"xx\4\1y", 2) == Hit(Element(4, 4, 5), 4)


@pytest.mark.parametrize("window", [b"\x30\x80", b"\x30\x85", b"\x30\xff"])
def test_lengths_that_are_none(window: bytes) -> None:
    assert why(sniff_element(window, 0)) == "a length has no end or too many bytes"


@pytest.mark.parametrize("data", [b"\4\2x", b"\4", b"\4\1xy\1", b"\4\x80", b"\4\x82\0"])
def test_an_element_ends_within_what_holds_it(data: bytes) -> None:
    with pytest.raises(BerError):
        list(elements(data, 0, len(data)))


def test_what_follows_does_not_lengthen_it() -> None:
    with pytest.raises(BerError, match="longer than what holds it"):
        list(elements(b"\4\1x" + b"\4\1yz", 0, 4))


@patient
@given(st.binary(max_size=12), st.data())
def test_any_beginning_agrees_with_the_whole(window: bytes, data: st.DataObject) -> None:
    assert is_final(lambda window: sniff_element(bytes(window), 0), window, data.draw(st.integers(0, len(window))))


@patient
@given(st.binary(max_size=60))
def test_anything_ends_or_is_refused(data: bytes) -> None:
    try:
        found = list(elements(data, 0, len(data)))
    except BerError:
        return
    assert [one.end for one in found[-1:]] == [len(data)] * bool(data)
