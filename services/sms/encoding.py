"""Which texts fit the GSM 7-bit alphabet. One character outside it makes the whole text UCS-2, at 70 per part."""

from __future__ import annotations

# 3GPP TS 23.038 (GSM 03.38), section 6.2.1: the basic table without its escape code, and the extension table.
GSM_BASIC = frozenset(
    "@\u00a3$\u00a5\u00e8\u00e9\u00f9\u00ec\u00f2\u00c7\n\u00d8\u00f8\r\u00c5\u00e5"
    "\u0394_\u03a6\u0393\u039b\u03a9\u03a0\u03a8\u03a3\u0398\u039e\u00c6\u00e6\u00df\u00c9"
    " !\"#\u00a4%&'()*+,-./0123456789:;<=>?"
    "\u00a1ABCDEFGHIJKLMNOPQRSTUVWXYZ\u00c4\u00d6\u00d1\u00dc\u00a7"
    "\u00bfabcdefghijklmnopqrstuvwxyz\u00e4\u00f6\u00f1\u00fc\u00e0"
)
GSM_EXTENSION = frozenset("\f^{}\\[~]|\u20ac")


def fits_gsm(text: str) -> bool:
    """Whether every character of `text` is in GSM 03.38, basic or extension table."""
    return GSM_BASIC.union(GSM_EXTENSION).issuperset(text)
