"""Secrets that the database keeps encrypted."""

from __future__ import annotations

import pytest

from core.exceptions import Unavailable
from core.sealing import reseal, seal, unseal

OLD, NEW = "a" * 40, "b" * 40


@pytest.mark.parametrize("text", ["", "JBSWY3DPEHPK3PXP", "siri \u00e9"])
def test_what_was_sealed_is_read_again_and_never_shows(text):
    sealed = seal(text)

    assert unseal(sealed) == text
    assert seal(text) != sealed
    assert not text or text not in sealed


def test_a_new_key_seals_and_the_old_ones_still_open(settings):
    derived = seal("siri")
    settings.ENCRYPTION_KEYS = [OLD]
    old = seal("siri")
    settings.ENCRYPTION_KEYS = [NEW, OLD]

    assert {unseal(derived), unseal(old)} == {"siri"}
    resealed = [reseal(derived), reseal(old)]
    settings.ENCRYPTION_KEYS, settings.SECRET_KEY = [NEW], "another"
    assert {unseal(each) for each in resealed} == {"siri"}


def test_without_its_key_a_secret_is_out_of_reach_and_says_so_in_the_log(settings, caplog):
    settings.ENCRYPTION_KEYS = [OLD]
    sealed = seal("siri")
    settings.ENCRYPTION_KEYS = [NEW]

    for broken in (sealed, "x", sealed[:-2] + "AA"):
        with pytest.raises(Unavailable):
            unseal(broken)
    assert "ENCRYPTION_KEYS" in caplog.text
    assert sealed not in caplog.text


def test_a_retired_secret_key_opens_as_a_fallback(settings):
    sealed = seal("siri")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", [settings.SECRET_KEY]

    assert unseal(sealed) == "siri"
