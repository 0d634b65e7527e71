"""What a target declares, and what its digest rests on."""

import shutil

import pytest

from harness.errors import StudyError
from harness.study import manifest
from harness.study.model import Declared

OPTION = {"kind": "choice", "choices": ["inline", "spawn_blocking"], "default": "inline", "about": "Where it runs."}
NUMBER = Declared("check_ms", "number", 2.0, "Length of a check.", low=0.0, high=1000.0)


def faults(content, tmp_path):
    with pytest.raises(StudyError) as caught:
        manifest.declared(content, tmp_path / "target.toml")
    return str(caught.value).replace(f"{tmp_path}/", "").splitlines()


@pytest.mark.parametrize("name", manifest.template_names())
def test_every_template_declares_what_can_be_read(name):
    file = manifest.TEMPLATES / name / "target.toml"

    options, settings = manifest.declared(manifest.read_toml(file), file)

    assert all(row.about for row in (*options, *settings))


def test_payments_lets_a_study_search_where_the_check_runs():
    file = manifest.TEMPLATES / "payments" / "target.toml"

    options, _ = manifest.declared(manifest.read_toml(file), file)

    assert [(row.name, row.choices, row.default) for row in options] == [
        ("fraud_check", ("inline", "spawn_blocking"), "inline")
    ]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({**OPTION, "kind": "colour"}, "needs kind (one of choice, integer, number, flag), default and about"),
        ({**OPTION, "about": ""}, "needs kind (one of choice, integer, number, flag), default and about"),
        ({**OPTION, "default": "neither"}, "default must be one of inline, spawn_blocking, not 'neither'"),
        ({**OPTION, "choices": "inline"}, "choices must be a list of single words"),
        ({**OPTION, "choices": ["in line"]}, "choices must be a list of single words"),
        ({**OPTION, "choices": []}, "needs choices exactly where its kind is choice"),
        ({**OPTION, "choice": 1}, "has the unknown key choice. Allowed: kind, default, about, choices, low, high"),
        ({"kind": "integer", "default": 1, "about": "x", "low": 5, "high": 2}, "high must be at least low (5)"),
        ({"kind": "integer", "default": 1, "about": "x", "low": "0"}, "low and high must be numbers, not '0'"),
        ({"kind": "integer", "default": 0, "about": "x", "low": 1}, "default must be at least 1, not 0"),
        ({"kind": "flag", "default": 1, "about": "x"}, "default must be true or false, not 1"),
    ],
)
def test_a_wrong_declaration_is_named_with_its_file_and_place(row, words, tmp_path):
    assert faults({"options": {"check": row}}, tmp_path) == [f"target.toml: [options.check] {words}"]


def test_all_faults_of_a_target_come_at_once(tmp_path):
    content = {
        "admin": "yes",
        "optoins": {},
        "options": {"worker_threads": OPTION, "same": OPTION},
        "settings": {"same": {"kind": "flag", "default": True, "about": "x"}},
    }

    assert faults(content, tmp_path) == [
        (
            "target.toml: optoins is no known key. Did you mean options? Allowed: name, about, package, admin, "
            "upstream, options, settings"
        ),
        "target.toml: admin must be true or false: whether the service answers on $ADMIN_PORT",
        (
            "target.toml: [options.worker_threads] needs another name: lower-case letters, digits and _, and no knob of "
            "Tokio's runtime"
        ),
        "target.toml: [options.same] is a setting too: keep one",
    ]


DELAY = {"kind": "number", "default": 5.0, "low": 0.0, "high": 1000.0, "about": "How long the upstream takes."}


def test_the_upstream_of_a_target_takes_as_long_as_the_setting_that_it_names_says(tmp_path):
    content = {"upstream": {"delay": "wait_ms"}, "settings": {"wait_ms": DELAY}}

    manifest.declared(content, tmp_path / "target.toml")

    assert manifest.upstream_delay(content) == "wait_ms"
    assert manifest.upstream_delay({"settings": {"wait_ms": DELAY}}) is None


@pytest.mark.parametrize(
    ("upstream", "delay", "words"),
    [
        (5, DELAY, "[upstream] needs delay and nothing else: the setting that says how long it takes, in milliseconds"),
        (
            {},
            DELAY,
            "[upstream] needs delay and nothing else: the setting that says how long it takes, in milliseconds",
        ),
        (
            {"delay": "wait"},
            DELAY,
            "[upstream] delay must be a setting that is a number, not 'wait'. There are: wait_ms",
        ),
        (
            {"delay": "wait_ms"},
            {"kind": "flag", "default": True, "about": "x"},
            "[upstream] delay must be a setting that is a number, not 'wait_ms'. There are: none",
        ),
        (
            {"delay": "wait_ms"},
            {**DELAY, "low": -1.0},
            "[settings.wait_ms] is the upstream's delay: it needs low and high, from 0 to 60000",
        ),
        (
            {"delay": "wait_ms"},
            {**DELAY, "high": 60_001.0},
            "[settings.wait_ms] is the upstream's delay: it needs low and high, from 0 to 60000",
        ),
    ],
)
def test_an_upstream_that_is_wrongly_declared_is_named(upstream, delay, words, tmp_path):
    content = {"upstream": upstream, "settings": {"wait_ms": delay}}

    assert faults(content, tmp_path) == [f"target.toml: {words}"]


@pytest.mark.parametrize("level", [float("nan"), float("inf"), -1, 1001, "2", True, None])
def test_a_number_outside_its_bounds_is_refused(level):
    with pytest.raises(ValueError, match="must be"):
        manifest.parse_level(NUMBER, level)


def test_a_whole_number_serves_as_a_number():
    parsed = manifest.parse_level(NUMBER, 2)

    assert (parsed, type(parsed)) == (2.0, float)


def test_a_toml_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "bad.toml").write_text("a = ")
    (tmp_path / "latin.toml").write_bytes(b"a = 'caf\xe9'")

    for name, words in (("bad.toml", "is no TOML"), ("latin.toml", "is not UTF-8"), ("none.toml", "no such file")):
        with pytest.raises(StudyError, match=words):
            manifest.read_toml(tmp_path / name)


@pytest.fixture
def crate(tmp_path):
    crate = tmp_path / "crate"
    for name in ("Cargo.toml", "src/main.rs", "src/runtime.rs", "src/target/mod.rs", ".cargo/config.toml", "target/a"):
        (crate / name).parent.mkdir(parents=True, exist_ok=True)
        (crate / name).write_text(name)
    return crate


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("Cargo.toml", True),
        ("src/main.rs", True),
        ("src/target/mod.rs", True),
        (".cargo/config.toml", True),
        ("Cargo.lock", True),
        ("src/runtime.rs", False),
        ("target/a", False),
        (".git/index", False),
    ],
)
def test_the_digest_changes_with_all_that_is_built_and_nothing_else(crate, name, counts):
    before = manifest.crate_ground(crate)
    (crate / name).parent.mkdir(exist_ok=True)
    (crate / name).write_text("changed")

    assert (manifest.crate_ground(crate) != before) == counts


def test_the_digest_does_not_depend_on_where_the_crate_lies(crate, tmp_path):
    shutil.copytree(crate, tmp_path / "elsewhere")

    assert manifest.crate_ground(tmp_path / "elsewhere") == manifest.crate_ground(crate)


def test_templates_have_digests_of_their_own():
    grounds = {manifest.template_ground(name) for name in manifest.template_names()}

    assert len(grounds) == len(manifest.template_names())
