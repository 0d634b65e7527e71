"""The Optuna mirror: every window is in it once, and whatever happens to it, the run is the same."""

import optuna
import pytest
from fakes import Fake, Noise, quick, quick_study, run_study

from harness.errors import StudyError
from harness.search.mirror import Mirror
from harness.study.model import Objective
from harness.window.measurement import Validity

pytestmark = pytest.mark.slow  # each study is written to a real storage
STUDY = quick_study()
SPOILED = lambda n, _step: (Validity.INVALID, "busy") if n == 7 else None  # noqa: E731
_, DONE = run_study(STUDY, Fake(quick, Noise(1, 0.05), faults=SPOILED))


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'mirror.db'}"


def trials(url, name="run"):
    return optuna.load_study(study_name=name, storage=url).get_trials()


def test_each_window_is_a_trial_with_its_levels_and_its_figure(url):
    Mirror(url, "run", STUDY).catch_up(DONE)
    found = trials(url)
    picked = next(
        trial for trial in found if trial.user_attrs["phase"] == "confirm" and trial.user_attrs["role"] == "candidate"
    )

    assert [trial.user_attrs["n"] for trial in found] == [record.n for record in DONE.windows]
    winner = DONE.decision("freeze")["values"]
    assert winner["fraud_check"] == "spawn_blocking"
    assert picked.params == {knob.name: winner.get(knob.name, "unset") for knob in STUDY.knobs}
    assert picked.value == DONE.windows[picked.user_attrs["n"] - 1].metrics.p95_ms


def test_a_window_that_is_not_usable_is_a_failed_trial_with_its_reason(url):
    Mirror(url, "run", STUDY).catch_up(DONE)
    spoiled = trials(url)[6]

    assert (spoiled.state.name, spoiled.values, spoiled.user_attrs["reasons"]) == ("FAIL", None, ["busy"])


def test_a_mirror_that_is_opened_again_goes_on_where_it_was(url):
    half = DONE.model_copy(update={"windows": DONE.windows[:10]})
    Mirror(url, "run", STUDY).catch_up(half)
    again = Mirror(url, "run", STUDY)
    again.catch_up(DONE)
    again.catch_up(DONE)

    assert [trial.user_attrs["n"] for trial in trials(url)] == list(range(1, len(DONE.windows) + 1))


def test_two_objectives_are_two_values(url):
    study = quick_study(objective=Objective("minimize", "p95", None, Objective("minimize", "peak_rss")))
    Mirror(url, "run", study).catch_up(DONE)

    assert trials(url)[0].values == [DONE.windows[0].metrics.p95_ms, 2.0**20]


def test_a_storage_that_is_none_is_refused_without_its_address(tmp_path):
    with pytest.raises(StudyError, match="cannot be opened") as refused:
        Mirror(f"sqlite:///{tmp_path}/none/secret-word.db", "run", STUDY)

    assert "secret-word" not in str(refused.value)


def test_a_storage_that_breaks_on_the_way_is_left_alone_and_says_so(url, tmp_path):
    mirror = Mirror(url, "run", STUDY)
    mirror.catch_up(DONE.model_copy(update={"windows": DONE.windows[:3]}))
    (tmp_path / "mirror.db").write_bytes(b"no database any more" * 1000)
    mirror.catch_up(DONE)
    said = mirror.broken
    mirror.catch_up(DONE)

    assert "takes no more windows" in said
    assert mirror.broken == said


def test_what_stands_in_the_storage_changes_no_step(url):
    lies = optuna.create_study(storage=url, study_name="run")
    for _ in range(5):
        lies.tell(lies.ask(), -1e9)
    Mirror(url, "run", STUDY).catch_up(DONE)
    _, again = run_study(STUDY, Fake(quick, Noise(1, 0.05), faults=SPOILED))

    assert again.windows == DONE.windows
