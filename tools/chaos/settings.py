"""Development's settings, with the mutants of the chaos run."""

from config.settings.dev import *  # noqa: F403
from config.settings.dev import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tools.chaos.mutants.MutantConfig"]
