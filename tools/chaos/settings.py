"""Development's settings in a hurry, without receipts, and with the mutants of the chaos run."""

from datetime import timedelta

from config.settings.dev import *  # noqa: F403
from config.settings.dev import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tools.chaos.mutants.ChaosConfig"]
# Nobody waits half an hour for a customer. Asking goes on afterwards, so money that comes later still settles.
PAYMENT_EXPIRY = PAYMENT_PAGE_EXPIRY = timedelta(seconds=15)
OUTBOX_SUBSCRIBERS = "tools.chaos.events.SUBSCRIBERS"
