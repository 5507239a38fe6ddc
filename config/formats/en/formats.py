"""English, with the times of the settings: Django's own ("Nov. 20, 2026, 1:40 p.m.") have no seconds."""

DATETIME_FORMAT = "Y-m-d H:i:s"
