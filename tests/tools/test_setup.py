"""`tools/setup.sh` in a folder of its own, with a Python whose environments record what is asked of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.conftest import ROOT

# Answers `-c` as the real Python does; `-m venv` makes an environment whose pip and uv write into a log, and fail
# when a file of that name says so.
PYTHON = f"""#!/bin/sh
if [ "$1" = -c ]; then exec {sys.executable} "$@"; fi
echo "venv" >>log
mkdir -p "$3/bin"
touch "$3/pyvenv.cfg"
printf '#!/bin/sh\\necho "pip" >>log\\n[ ! -e pip-fails ]\\n' >"$3/bin/python"
printf '#!/bin/sh\\necho "uv" >>log\\n[ ! -e uv-fails ]\\n' >"$3/bin/uv"
chmod +x "$3/bin/python" "$3/bin/uv"
"""


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "requirements").mkdir()
        for name in ("uv", "local", "dev"):
            (folder / "requirements" / f"{name}.txt").write_text(f"{name}==1\n")
        self.script("python", PYTHON)

    def script(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def setup(self, group: str = "local", *, python: str = "./python", venv: str = ".venv"):
        return subprocess.run(
            ["sh", str(ROOT / "tools" / "setup.sh"), python, venv, group],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def steps(self) -> list[str]:
        """What was asked since the last time."""
        log = self.folder / "log"
        lines = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_first_run_makes_and_fills_the_environment(project):
    assert project.setup().returncode == 0
    assert project.steps() == ["venv", "pip", "uv"]


def test_a_second_run_does_nothing_and_says_nothing(project):
    project.setup()
    project.steps()

    again = project.setup()

    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert project.steps() == []


def test_a_second_group_is_added_to_the_same_environment(project):
    project.setup("local")
    project.steps()

    project.setup("dev")

    assert project.steps() == ["pip", "uv"]


def test_new_requirements_are_installed_into_the_same_environment(project):
    project.setup()
    project.steps()
    (project.folder / "requirements" / "local.txt").write_text("local==2\n")

    project.setup()

    assert project.steps() == ["pip", "uv"]


@pytest.mark.parametrize("step", ["pip", "uv"])
def test_a_run_that_ended_half_way_is_started_over(project, step):
    (project.folder / f"{step}-fails").touch()
    failed = project.setup()
    (project.folder / f"{step}-fails").unlink()
    project.steps()

    healed = project.setup()

    assert failed.returncode == 1
    assert healed.returncode == 0
    assert project.steps() == ["venv", "pip", "uv"]


def test_an_environment_of_another_python_is_made_anew(project):
    project.setup()
    project.steps()
    (project.folder / ".venv" / ".made-by").write_text("ok 3.10.1 elsewhere\n")

    rebuilt = project.setup()

    assert rebuilt.returncode == 0
    assert project.steps() == ["venv", "pip", "uv"]


def test_an_environment_that_moved_is_made_anew(project, tmp_path_factory):
    project.setup()
    moved = tmp_path_factory.mktemp("moved") / "project"
    shutil.copytree(project.folder, moved, symlinks=True)
    (moved / "log").unlink()

    subprocess.run(["sh", str(ROOT / "tools" / "setup.sh"), "./python", ".venv", "local"], cwd=moved, check=True)

    assert (moved / "log").read_text().split() == ["venv", "pip", "uv"]


def test_a_folder_that_is_no_environment_is_never_removed(project):
    precious = project.folder / "precious"
    precious.mkdir()
    (precious / "thesis.txt").touch()

    refused = project.setup(venv="precious")

    assert refused.returncode == 1
    assert (precious / "thesis.txt").exists()


def pretending(change: str) -> str:
    """A Python that runs `-c` programs after `change`."""
    return f"""#!/bin/sh
exec {sys.executable} -c "import sys; {change}; exec(sys.argv[1])" "$2"
"""


@pytest.mark.parametrize(
    ("interpreter", "sentence"),
    [
        (pretending("sys.version_info = (3, 10, 9)"), "is Python 3.10, and 3.11 is the oldest that works"),
        (pretending("sys.modules['ensurepip'] = None"), "came without its venv module: apt-get install python3."),
        ("#!/bin/sh\nexit 3\n", "does not run"),
        ("#!/bin/sh\necho hello\n", "does not behave like Python"),
        (None, "There is no ./python here"),
    ],
    ids=["old", "without venv", "broken", "another program", "missing"],
)
def test_a_python_that_will_not_do_is_one_sentence(project, interpreter, sentence):
    if interpreter is None:
        (project.folder / "python").unlink()
    else:
        project.script("python", interpreter)

    refused = project.setup()

    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.count("\n") == 1
    assert sentence in refused.stderr
    assert not (project.folder / ".venv").exists()
