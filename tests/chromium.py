"""The browser of this computer. Apart from `tests/browser`, so that finding none needs nothing that drives one."""

from __future__ import annotations

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
NO_BROWSER = "No Chromium here, so nothing ran in a real browser: apt-get install chromium."


def find_chromium() -> str | None:
    """The path of its program, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)
