from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sms.encoding import GSM_BASIC, GSM_EXTENSION, fits_gsm


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
