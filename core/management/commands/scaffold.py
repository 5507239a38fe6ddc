"""`manage.py scaffold KIND NAME`: start a new part of the kit from the templates in tools/scaffold."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.scaffolding import CannotScaffold, Plan, kinds, plan


class Command(BaseCommand):
    help = "Make a new part of the kit that runs and passes its tests, for you to fill."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        known = kinds(templates())
        parser.add_argument("kind", choices=sorted(known), help="; ".join(f"{k}: {v}" for k, v in known.items()))
        parser.add_argument("name", help="Small letters, digits and underscores, such as azam_pay.")
        parser.add_argument("--dry-run", action="store_true", help="Only list the files.")

    def handle(self, *args: Any, kind: str, name: str, dry_run: bool, **options: Any) -> None:
        root = Path(settings.BASE_DIR)
        try:
            planned = plan(templates() / kind, name, root)
        except CannotScaffold as refusal:
            raise CommandError(str(refusal)) from None
        for word, paths in (("new", planned.new), ("edit", planned.edited)):
            for path in paths:
                self.stdout.write(f"{word:<5}{path}")
        if dry_run:
            return
        planned.write(root)
        self._tidy(planned, root)
        self.stdout.write(f"\n{planned.next_steps}")

    def _tidy(self, planned: Plan, root: Path) -> None:
        """Sort imports and break lines: how long they are depends on the name."""
        files = [path for path in [*planned.new, *planned.edited] if path.endswith(".py")]
        ruff = Path(sysconfig.get_path("scripts")) / "ruff"
        if not ruff.exists():
            self.stdout.write("ruff is not installed here: run `make format`.")
            return
        for arguments in (("check", "-q", "--select", "I", "--fix"), ("format", "-q")):
            done = subprocess.run(  # noqa: S603  the tool and the paths are ours
                [ruff, *arguments, *files], cwd=root, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise CommandError(f"ruff {arguments[0]} says:\n{done.stdout}{done.stderr}")


def templates() -> Path:
    """Where the kinds are. Nothing is there in the image, in which nobody develops."""
    return Path(settings.BASE_DIR) / "tools" / "scaffold"
