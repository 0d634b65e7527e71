"""An own crate as a target: what it must bring, what it declares, which settings it starts from."""

import pytest

from harness import variant as variants
from harness.errors import StudyError
from harness.study import load

STUDY = """\
study: own
target: {path: crate}
load: {rate: 300, requests: [{name: get, path: /}]}
objective: {minimize: p95}
knobs: {max_blocking_threads: [unset, 8]}
"""
RUNTIME = """\
pub fn build() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()
}
"""
CARGO = '[package]\nname = "own"\nedition = "2024"\n'
OPTIONS = """\
admin = true
[options.kind]
kind = "choice"
choices = ["plain", "other"]
default = "plain"
about = "An option."
[settings.size]
kind = "integer"
default = 3
about = "A setting."
"""


@pytest.fixture
def own(tmp_path):
    crate = tmp_path / "crate"
    (crate / "src").mkdir(parents=True)
    (crate / "Cargo.toml").write_text(CARGO)
    (crate / "src" / "main.rs").write_text("mod runtime;\nfn main() {}\n")
    (crate / "src" / "runtime.rs").write_text(RUNTIME)
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path


def fault(folder):
    with pytest.raises(StudyError) as caught:
        load(folder / "study.yaml")
    return str(caught.value).replace(f"{folder}/", "")


def test_the_committed_runtime_is_the_baseline(own):
    study = load(own / "study.yaml")

    assert (study.target.form, study.target.package, study.target.has_admin) == ("path", "own", False)
    assert study.target.own_runtime == RUNTIME
    assert study.baseline == {"worker_threads": 4}
    assert variants.is_verbatim(study, variants.baseline(study))


def test_a_crate_without_a_probe_is_told_once_what_that_costs(own):
    without = load(own / "study.yaml").warnings
    (own / "crate" / "target.toml").write_text("admin = true\n")

    (words,) = without
    assert "docs/metrics.md" in words
    assert load(own / "study.yaml").warnings == ()


def test_unset_leaves_the_crates_own_setting_out(own):
    (own / "study.yaml").write_text(STUDY.replace("max_blocking_threads: [unset, 8]", "worker_threads: [unset, 2]"))

    knob = load(own / "study.yaml").knob("worker_threads")

    assert (knob.levels, knob.baseline) == (("unset", 2, 4), 4)


def test_options_and_settings_come_from_its_target_toml(own):
    (own / "crate" / "target.toml").write_text(OPTIONS)
    text = STUDY.replace("{path: crate}", "{path: crate, set: {size: 5}}").replace("{max", "{kind: [plain, other], max")
    (own / "study.yaml").write_text(text + "baseline: {kind: other}\n")

    study = load(own / "study.yaml")

    assert (study.target.has_admin, study.target.settings) == (True, {"size": 5})
    assert study.baseline == {"kind": "other", "worker_threads": 4}


@pytest.mark.parametrize(("fixed", "delay_ms"), [("", 3.0), (", set: {size: 7}", 7.0)])
def test_the_study_fixes_how_long_the_upstream_takes(own, fixed, delay_ms):
    options = OPTIONS.replace("[options.kind]", '[upstream]\ndelay = "size"\n[options.kind]')
    (own / "crate" / "target.toml").write_text(options.replace("default = 3", "default = 3\nlow = 0\nhigh = 10"))
    (own / "study.yaml").write_text(STUDY.replace("{path: crate}", f"{{path: crate{fixed}}}"))

    assert load(own / "study.yaml").target.upstream_ms == delay_ms


def test_a_target_that_declares_no_upstream_gets_none(own):
    assert load(own / "study.yaml").target.upstream_ms is None


def test_a_runtime_knob_in_the_baseline_is_refused(own):
    (own / "study.yaml").write_text(STUDY + "baseline: {worker_threads: 2}\n")

    assert fault(own) == (
        "study.yaml:6:12 baseline.worker_threads: an own crate's committed src/runtime.rs is the baseline: set it "
        "there, not here"
    )


def test_what_a_rendered_runtime_cannot_keep_is_a_warning(own):
    source = RUNTIME.replace(".enable_all()", '.thread_name("api").enable_all()')
    (own / "crate" / "src" / "runtime.rs").write_text(source)

    assert load(own / "study.yaml").warnings[0] == (
        "the crate's runtime.rs sets what a rendered variant cannot keep, so variants differ from it in this too: "
        '.thread_name("api")'
    )


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("Cargo.toml", None, "crate/Cargo.toml is missing: an own crate has Cargo.toml and src/runtime.rs"),
        ("src/runtime.rs", None, "crate/src/runtime.rs is missing: an own crate has Cargo.toml and src/runtime.rs"),
        ("src/main.rs", None, "crate/Cargo.toml has no binary: the crate needs src/main.rs or [[bin]]"),
        ("src/runtime.rs", "fn make() {}", "crate/src/runtime.rs must have `pub fn build() -> std::io::Result"),
        ("Cargo.toml", "[workspace]\n", "crate/Cargo.toml has no [package] name"),
        ("Cargo.toml", "package = 5\n", "crate/Cargo.toml has no [package] name"),
        ("Cargo.toml", "[package\n", "crate/Cargo.toml: is no TOML: "),
        ("Cargo.toml", CARGO + '[dependencies]\nx = {path = "../x"}\n', "outside the folder are not copied: x"),
        ("Cargo.toml", CARGO + '[dev-dependencies]\nx = {path = "/x"}\n', "outside the folder are not copied: x"),
        ("Cargo.toml", CARGO + '[target.a.dependencies]\nx = {path = "../x"}\n', "are not copied: x"),
        ("Cargo.toml", CARGO + '[patch.crates-io]\nx = {path = "../x"}\n', "are not copied: x"),
        ("Cargo.toml", CARGO + "version.workspace = true\n", "inherits from a workspace"),
        ("Cargo.toml", CARGO + 'workspace = ".."\n', "inherits from a workspace"),
        ("Cargo.toml", CARGO + "[lints]\nworkspace = true\n", "inherits from a workspace"),
        ("target.toml", "admin = 1\n", "crate/target.toml: admin must be true or false"),
        ("target.toml", "[options]\na = 1\n", "crate/target.toml: [options.a] needs kind"),
    ],
)
def test_a_crate_that_cannot_be_measured_is_refused_with_the_reason(own, name, content, words):
    file = own / "crate" / name
    file.unlink(missing_ok=True)
    if content is not None:
        file.write_text(content)

    said = fault(own)

    assert said.startswith("study.yaml:2:10 target.path: ")
    assert words in said


def test_a_dependency_inside_the_folder_and_an_own_workspace_are_fine(own):
    inside = '[workspace.package]\nversion = "1.0.0"\n[dependencies]\nx = {path = "x", version = "1"}\ny = "1"\n'
    (own / "crate" / "Cargo.toml").write_text(CARGO + "version.workspace = true\n" + inside)

    assert load(own / "study.yaml").target.package == "own"


@pytest.mark.parametrize("path", ["nowhere", "study.yaml", "a" * 400, '"a\\0b"'])
def test_a_path_that_leads_nowhere_is_refused(own, path):
    (own / "study.yaml").write_text(STUDY.replace("path: crate", f"path: {path}"))

    assert fault(own).startswith("study.yaml:2:10 target.path: ")
