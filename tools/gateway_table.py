"""The table of gateways in docs/payments.md, written from what the adapters declare: `make docs`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import django
from django.conf import settings

from services.payments.base import Capability, Trust

PAGE = Path(__file__).resolve().parent.parent / "docs" / "payments.md"
START, END = "<!-- gateways: generated -->", "<!-- gateways: end -->"
WAYS = (Capability.PUSH, Capability.CHECKOUT, Capability.CARD)
WORDS = {
    Capability.QUERY: "status query",
    Capability.CANCEL: "cancel",
    Capability.REFUND: "refund",
    Capability.PAYOUT_PHONE: "payout to a phone",
    Capability.PAYOUT_BANK: "payout to a bank",
    Capability.PAYOUT_QUERY: "payout query",
    Capability.BALANCE: "balance",
    Capability.LIST: "list of charges",
    Capability.IDEMPOTENT_CHARGE: "repeating a charge is safe",
    Capability.IDEMPOTENT_PAYOUT: "repeating a payout is safe",
}
BELIEVED = {Trust.SIGNED: "signed", Trust.TOKEN: "a secret per charge", Trust.HINT: "only make us ask"}


def as_markdown() -> str:
    """A row for each gateway of the settings, with all that an account there can have."""
    from services.payments.registry import gateway_codes, get_gateway

    lines = [
        "| Gateway | `gateway` | Currencies | Ways to pay (`method`) | What else it can | Its callbacks |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for code in gateway_codes():
        gateway = get_gateway(code)
        can = type(gateway).capabilities
        ways = ", ".join(f"`{way}`" for way in WAYS if way in can)
        rest = ", ".join(words for capability, words in WORDS.items() if capability in can)
        currencies = ", ".join(sorted(gateway.currencies))
        lines.append(f"| {gateway.name} | `{code}` | {currencies} | {ways} | {rest} | {BELIEVED[gateway.trust]} |")
    return "\n".join(lines)


def with_table(page: str) -> str:
    """`page` with the text between its two markers replaced by the present table. `ValueError` without markers."""
    head, _, rest = page.partition(START)
    old, _, tail = rest.partition(END)
    if not old:
        raise ValueError(f"The page needs the lines {START} and {END}.")
    return f"{head}{START}\n{as_markdown()}\n{END}{tail}"


def main(arguments: Sequence[str]) -> int:
    """Write the table, or with --check only compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    is_check = parser.parse_args(arguments).check
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")
    if not settings.configured:
        django.setup()
    old = PAGE.read_text(encoding="utf-8")
    new = with_table(old)
    if old == new:
        return 0
    if is_check:
        print("Out of date: docs/payments.md. Run: make docs", file=sys.stderr)
        return 1
    PAGE.write_text(new, encoding="utf-8")
    print("written: docs/payments.md")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
