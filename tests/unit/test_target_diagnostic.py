"""The recipe of a diagnostic build, and which targets have one."""

from dataclasses import replace

import pytest
from fakes import fake_study

from harness.study import manifest
from harness.target import cargo, diagnostic

LINUX = "x86_64-unknown-linux-gnu"


def test_it_keeps_names_and_has_the_feature_and_a_cargo_folder_of_its_own():
    made = diagnostic.recipe("template", "1.54", LINUX)

    assert made.features == ("diagnostic", "tokio/taskdump")
    assert made.profile["strip"] == "none"
    assert made.flags[: len(manifest.BUILD_FLAGS)] == manifest.BUILD_FLAGS
    assert made.folder != cargo.Recipe(manifest.BUILD_FLAGS).folder


@pytest.mark.parametrize("version", ["1.47", "1.51", "1.54"])
def test_a_feature_of_tokio_is_asked_for_only_where_the_version_has_it(version):
    made = diagnostic.recipe("template", version, LINUX)

    assert ("tokio/taskdump" in made.features) is (version != "1.47")
    assert made.flags[-2:] == ("--cfg", "tokio_taskdump")


@pytest.mark.parametrize("triple", ["riscv64gc-unknown-linux-gnu", "aarch64-apple-darwin"])
def test_a_processor_that_tokios_dump_does_not_know_is_built_without_it(triple):
    made = diagnostic.recipe("template", "1.54", triple)

    assert (made.features, made.flags) == (("diagnostic",), manifest.BUILD_FLAGS)


def test_an_own_crate_decides_itself_which_features_of_tokio_it_needs():
    assert diagnostic.recipe("path", "1.54", LINUX).features == ("diagnostic",)


@pytest.mark.parametrize("name", manifest.template_names())
def test_every_template_declares_the_feature(name):
    declared = manifest.read_toml(manifest.TEMPLATES / name / "Cargo.toml")

    assert declared["features"]["diagnostic"] == ["kit/diagnostic"]


@pytest.mark.parametrize(
    ("cargo_toml", "has_admin", "said"),
    [
        ('[package]\nname = "own"\n', True, "declares no feature 'diagnostic'"),
        ('[package]\nname = "own"\n[features]\ndiagnostic = []\n', False, "has no probe"),
        ('[package]\nname = "own"\n[features]\ndiagnostic = []\n', True, None),
    ],
)
def test_an_own_crate_is_looked_into_only_where_it_declares_the_feature_and_has_a_probe(
    tmp_path, cargo_toml, has_admin, said
):
    (tmp_path / "Cargo.toml").write_text(cargo_toml)
    target = replace(fake_study().target, form="path", crate=tmp_path, has_admin=has_admin)

    found = diagnostic.obstacle(target)

    assert found is None if said is None else said in found
