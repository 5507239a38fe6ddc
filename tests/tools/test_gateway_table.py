"""The table of gateways in docs/payments.md is that of the code."""

from __future__ import annotations

import pytest
from django.conf import settings

from services.payments.registry import gateway_class
from tools.gateway_table import PAGE, WAYS, WORDS, as_markdown, with_table


def test_the_table_on_the_page_is_the_one_of_the_code():
    page = PAGE.read_text(encoding="utf-8")

    assert with_table(page) == page, "Run: make docs"


def test_every_gateway_has_a_row_and_every_capability_a_word():
    table = as_markdown()

    for code in settings.PAYMENT_GATEWAYS:
        assert f"| `{code}` |" in table
        assert gateway_class(code).capabilities <= {*WAYS, *WORDS}


def test_a_page_without_its_markers_is_not_written():
    with pytest.raises(ValueError, match="gateways: generated"):
        with_table("# Payments\n")
