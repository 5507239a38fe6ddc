from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sms.encoding import (
    GSM_BASIC,
    GSM_EXTENSION,
    ROOM,
    Encoding,
    clean_text,
    encoding_of,
    fits_gsm,
    measure,
    shorten,
    split_text,
    units_of,
)


def test_the_tables_have_the_sizes_of_the_standard():
    assert len(GSM_BASIC) == 127  # 128 places, of which one is the escape to the extension table
    assert len(GSM_EXTENSION) == 10
    assert not GSM_BASIC & GSM_EXTENSION


@pytest.mark.parametrize(
    "text", ["", "Habari ya asubuhi!", "@£$¥èéùìòÇ\nØø\rÅå", "ΔΦΓΛΩΠΨΣΘΞ ÆæßÉ ¤ ¡ ÄÖÑÜ§¿äöñüà", "{[~]}|\\^€\f"]
)
def test_texts_of_the_two_tables_fit(text):
    assert fits_gsm(text)


@pytest.mark.parametrize(
    "text", ["Mkámbala", "Zoë", "`", "ç", "\t", "\u201cquoted\u201d", "5 \u2013 6", "😀", "\x1b", "\ud800", "\x00"]
)
def test_one_character_outside_them_spoils_a_text(text):
    assert not fits_gsm("Habari " + text)


@given(st.text())
def test_a_text_fits_exactly_when_each_of_its_characters_does(text):
    assert fits_gsm(text) is all(fits_gsm(character) for character in text)


# --- Parts ------------------------------------------------------------------------------------------------------------

# Mostly what people write, with enough of what counts twice or cannot be cut.
TEXTS = st.text(alphabet=st.sampled_from("aZ 9\n~[\u20ac\u00e9\u044f\u2019\U0001f600"), max_size=400)
GSM_TEXTS = st.text(alphabet=st.sampled_from("aZ 9\n~[\u20ac\u00e9"), max_size=700)


@pytest.mark.parametrize(
    ("text", "encoding", "parts"),
    [
        ("", "gsm7", 1),
        ("a" * 160, "gsm7", 1),
        ("a" * 161, "gsm7", 2),
        ("a" * 306, "gsm7", 2),
        ("a" * 307, "gsm7", 3),
        ("~" * 80, "gsm7", 1),
        ("~" * 80 + "a", "gsm7", 2),
        ("a" * 152 + "~" + "a" * 152, "gsm7", 3),  # the escape and its character stay together
        ("\u20ac" * 76 + "a" + "\u20ac" * 76 + "a", "gsm7", 2),
        ("\u044f" * 70, "ucs2", 1),
        ("\u044f" * 71, "ucs2", 2),
        ("\u044f" * 134, "ucs2", 2),
        ("\u044f" * 135, "ucs2", 3),
        ("\U0001f600" * 35, "ucs2", 1),
        ("\U0001f600" * 36, "ucs2", 2),
        ("\U0001f600" * 66, "ucs2", 2),
        ("\U0001f600" * 67, "ucs2", 3),  # 33 pairs in each part of 67 units, none cut in two
        ("a" * 159 + "\u2019", "ucs2", 3),
    ],
)
def test_a_text_is_counted_as_it_travels(text, encoding, parts):
    assert (measure(text).encoding, measure(text).parts) == (encoding, parts)


@given(st.one_of(TEXTS, GSM_TEXTS))
def test_the_parts_are_the_text_and_each_has_room(text):
    parts, encoding = split_text(text), encoding_of(text)

    assert "".join(parts) == text
    alone, each = ROOM[encoding]
    room = alone if len(parts) == 1 else each
    assert all(0 < units_of(part, encoding) <= room for part in parts) or text == ""


@given(st.one_of(TEXTS, GSM_TEXTS))
def test_no_part_could_have_taken_the_next_character_too(text):
    parts, encoding = split_text(text), encoding_of(text)
    _alone, each = ROOM[encoding]

    for part, following in itertools.pairwise(parts):
        assert units_of(part, encoding) + units_of(following[0], encoding) > each


@given(TEXTS)
def test_units_are_what_the_encoding_says(text):
    assert units_of(text, Encoding.UCS2) == len(text.encode("utf-16-be")) // 2


@pytest.mark.invariant("I73")
@given(st.one_of(TEXTS, GSM_TEXTS, st.text(max_size=300)), st.integers(min_value=1, max_value=6))
def test_a_shortened_text_has_no_more_parts_than_it_may(text, parts):
    short = shorten(text, parts=parts)

    assert len(split_text(short)) <= parts
    assert short == text or (short.endswith("...") and text.startswith(short[:-3].rstrip()))


@pytest.mark.invariant("I73")
@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("\x00\r\n\u2028\ud800\udfff\x1b\x85\t"))))
def test_a_cleaned_text_can_be_sent_as_it_stands(text):
    clean = clean_text(text)

    clean.encode("utf-8")
    assert not set(clean) & {*map(chr, range(10)), *map(chr, range(11, 32)), "\x7f", "\x85", "\u2028", "\u2029"}
    assert clean_text(clean) == clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a\r\nb\rc\nd", "a\nb\nc\nd"),
        ("a\x00b", "ab"),
        ("a\tb", "a b"),
        ("half \ud83d pair", "half ? pair"),
        ("whole \U0001f600", "whole \U0001f600"),
        ("\ufeffHabari", "Habari"),
    ],
)
def test_what_no_phone_shows_is_taken_out(text, clean):
    assert clean_text(text) == clean
