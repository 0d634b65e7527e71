"""The house: which room may import which, where each foreign library lives, and that documents name what exists."""

import ast
import json
import re
from functools import cache
from pathlib import Path

import pytest

from harness.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "harness"
ORDER = (
    "errors", "study", "variant", "target", "load", "window", "ledger", "calibration", "judge", "diagnose", "search",
    "loop", "opening", "deep", "report", "cli",
)  # fmt: skip
HOMES = {
    "docker": {"target/docker.py"},
    "locust": {"load/locustfile.py"},
    "gevent": {"load/locustfile.py"},
    "httptools": {"load/locustfile.py"},
    "wsproto": {"load/websocket.py", "load/verify_websocket.py"},
    "optuna": {"search"},
    "click": {"cli"},
    "rich": {"cli"},
    "altair": {"report"},
    "vl_convert": {"report"},
    "jinja2": {"report", "target/render.py"},
    "pydantic": {"study", "ledger"},
    "yaml": {"study"},
    "prometheus_client": {"window"},
    "pyarrow": {"load/samples.py", "window/series.py", "report"},
}
FILES = sorted(PACKAGE.rglob("*.py"))


def room(file):
    part = file.relative_to(PACKAGE).parts[0]
    return part.removesuffix(".py")


@cache
def imports(file):
    """Return the dotted names that a file imports; each file is read once for all facts."""
    return frozenset(_imports(ast.parse(file.read_text())))


def _imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            yield base
            yield from (f"{base}.{name.name}" for name in node.names)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_room_imports_only_from_rooms_above_it(file):
    if room(file) == "__init__":
        return
    mine = ORDER.index(room(file))
    rooms = {name.split(".")[1] for name in imports(file) if name.startswith("harness.")}

    assert {name for name in rooms & set(ORDER) if ORDER.index(name) > mine} == set()


@pytest.mark.parametrize("library", HOMES)
def test_a_foreign_library_has_one_home(library):
    users = {str(f.relative_to(PACKAGE)) for f in FILES if any(name.split(".")[0] == library for name in imports(f))}

    assert users, f"nobody uses {library}"
    assert {user for user in users if user not in HOMES[library] and user.split("/")[0] not in HOMES[library]} == set()


def test_only_the_command_line_prints():
    printing = {
        str(file.relative_to(PACKAGE))
        for file in FILES
        if room(file) != "cli"
        and file.name != "launch.py"
        and re.search(r"(?<![\w.])print\(|sys\.stdout|sys\.stderr", file.read_text())
    }

    assert printing == set()


def test_every_path_that_the_documents_name_exists():
    for document in ("README.md", "ARCHITECTURE.md"):
        text = (ROOT / document).read_text()
        named = set(re.findall(r"`((?:harness|studies|docs|target_templates|tests)/[\w./-]*)`", text))

        assert {path for path in named if not (ROOT / path).exists()} == set(), document


def test_the_files_named_for_each_room_exist():
    rows = re.findall(r"^\| `(harness/\w+/)` \|[^|]*\|([^|]*)\|", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE)
    named = {folder + file for folder, files in rows for file in re.findall(r"`([\w.]+\.py)`", files)}

    assert named
    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_the_readme_shows_every_command_that_there_is():
    text = (ROOT / "README.md").read_text()

    assert {name for name in COMMANDS if f"harness {name}" not in text} == set()


def test_the_study_in_the_readme_uses_only_keys_that_there_are():
    from harness.study import places
    from harness.study.schema import StudyFile

    load, study = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    if "study:" in load:
        load, study = study, load

    read, loaded = (places.value(places.compose(text)) for text in (study, load))
    assert StudyFile.model_validate(read).study == "my-service"
    assert StudyFile.model_validate({**read, **loaded}).load.engine == "auto"


def test_no_file_names_a_registry_or_a_place_of_one_machine():
    hosts = re.compile(
        r"//[a-z0-9.-]*(" + "|".join(("py" + "pi", "python" + "hosted", "cra" + "tes", "deb" + "ian")) + ")"
    )
    tracked = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "Makefile", "constraints.txt")]

    assert [file.name for file in (*FILES, *tracked) if hosts.search(file.read_text())] == []


def test_the_run_that_the_readme_shows_is_among_the_measured_ones():
    runs = json.loads((ROOT / "docs" / "measured" / "quickstart.json").read_text())["runs"]
    text = (ROOT / "README.md").read_text()
    (shown,) = [run for run in runs if run["run"].removeprefix("quickstart-") in text]

    assert f"\n{shown['headline']}\n" in text
    assert shown["call"] == "better"


def test_what_needs_the_machine_to_itself_is_named_once_and_the_gate_runs_it_apart():
    tools = {"docker", "cargo", "load", "browser"}
    apart = re.search(r"^REAL := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE).group(1)
    marked = set(re.findall(r'^    "(\w+): (?:needs|drives)', (ROOT / "pyproject.toml").read_text(), re.MULTILINE))

    assert set(apart.split(" or ")) == marked == tools
