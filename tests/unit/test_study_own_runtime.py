"""Reading the Builder calls of a committed runtime.rs: literals are levels, all else is named."""

import pytest

from harness.study.own_runtime import read_builder_calls


def test_literals_are_levels_and_all_else_is_named():
    source = """
        // Builder::new_current_thread() in a comment is not the runtime
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder
            .worker_threads(num_cpus()) // .event_interval(7) neither
            .thread_name("api // .global_queue_interval(3)")
            /* .event_interval(9) */
            .max_blocking_threads(1_000usize)
            .thread_stack_size(3 * 1024 * 1024)
            .enable_all()
            .build()
    """

    found, unknown = read_builder_calls(source)

    assert found == {"flavor": "multi_thread", "max_blocking_threads": 1000, "thread_stack_size": "3MiB"}
    assert unknown == (".worker_threads(num_cpus())", '.thread_name("api // .global_queue_interval(3)")')


@pytest.mark.parametrize(
    ("argument", "level"),
    [
        ("Duration::from_secs(1)", "1s"),
        ("std::time::Duration::from_millis(250)", "250ms"),
        ("Duration::from_secs(2 * 60)", "120s"),
        ("Duration::from_micros(1_500)", "1500us"),
    ],
)
def test_durations_are_read_in_every_unit(argument, level):
    found, unknown = read_builder_calls(f"Builder::new_current_thread().thread_keep_alive({argument}).build()")

    assert found == {"flavor": "current_thread", "thread_keep_alive": level}
    assert unknown == ()


def test_a_hook_is_one_unknown_call_whatever_it_holds():
    source = 'Builder::new_multi_thread().on_thread_start(|| { pin(core(next(")"))); }).worker_threads(4).build()'

    found, unknown = read_builder_calls(source)

    assert found == {"flavor": "multi_thread", "worker_threads": 4}
    assert unknown == ('.on_thread_start(|| { pin(core(next(")"))); })',)


def test_what_follows_the_build_is_no_setting():
    source = """
        pub fn build() -> io::Result<Runtime> { Builder::new_multi_thread().event_interval(31).build().map_err(wrap) }
        fn wrap(error: io::Error) -> io::Error { error.kind().into() }
    """

    assert read_builder_calls(source) == ({"flavor": "multi_thread", "event_interval": 31}, ())


def test_a_branch_or_a_second_builder_is_named_because_the_text_does_not_decide():
    branch = "let mut b = Builder::new_multi_thread(); if small() { b.worker_threads(1); } b.build()"
    two = "Builder::new_multi_thread().build(); Builder::new_current_thread().build()"

    assert read_builder_calls(branch)[1] == ("`if` between its calls",)
    assert read_builder_calls(two)[1] == ("more than one Builder",)


def test_a_level_that_no_study_may_name_is_not_taken_for_the_baseline():
    found, unknown = read_builder_calls("Builder::new_multi_thread().event_interval(100_000).build()")

    assert found == {"flavor": "multi_thread"}
    assert unknown == (".event_interval(100_000)",)


def test_a_text_without_a_builder_is_named():
    assert read_builder_calls("pub fn build() {}") == (
        {},
        ("no Builder::new_multi_thread() or Builder::new_current_thread()",),
    )


@pytest.mark.parametrize("text", ["", "(", '"', "::new_multi_thread()", "::new_multi_thread().a(", 'r#"', "/*"])
def test_a_text_that_is_no_rust_is_survived(text):
    found, _ = read_builder_calls(text)

    assert found == ({"flavor": "multi_thread"} if "new" in text else {})
