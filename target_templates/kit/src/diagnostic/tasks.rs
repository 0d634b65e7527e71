//! What each task waits for, by Tokio's own dump.
//!
//! A dump asks every worker to take part, and a worker that is blocked does not: then there is none, which is told. With
//! Tokio 1.47 and 1.51 about one dump in three of an idle runtime never came (measured); with 1.54 every one did.

#[cfg(all(tokio_unstable, tokio_taskdump))]
pub(super) use dump::{dumped, text};
#[cfg(not(all(tokio_unstable, tokio_taskdump)))]
pub(super) use without::{dumped, text};

#[cfg(all(tokio_unstable, tokio_taskdump))]
mod dump {
    use std::collections::BTreeMap;
    use std::fmt::Write as _;
    use std::time::Duration;

    use tokio::runtime::{Dump, Handle};
    use tokio::time::timeout;

    use crate::diagnostic::names;
    use crate::metrics;

    /// How long a runtime may take to come to a dump.
    const LIMIT: Duration = Duration::from_secs(5);

    /// Tasks of a runtime whose traces are written down; beyond, they are counted.
    const MOST_TASKS: usize = 2000;

    /// A dump of each of `runtimes`, or why there is none.
    ///
    /// Taken by a task of the runtime itself, since a runtime of one thread cannot be dumped from outside.
    pub(in crate::diagnostic) async fn dumped(runtimes: &[Handle]) -> Result<Vec<(&'static str, Dump)>, String> {
        let mut dumps = Vec::new();
        for runtime in runtimes {
            let inside = runtime.clone();
            let dump = timeout(LIMIT, runtime.spawn(async move { inside.dump().await })).await;
            let flavor = metrics::flavor(std::slice::from_ref(runtime));
            match dump {
                Ok(Ok(dump)) => dumps.push((flavor, dump)),
                Ok(Err(error)) => return Err(format!("the task that takes the dump did not end well: {error}")),
                Err(_) => {
                    let limit = LIMIT.as_secs();
                    return Err(format!(
                        "no dump within {limit} s: a worker is blocked and takes no part in it; with Tokio 1.47 and 1.51 that \
                         happens to idle workers too, so ask again"
                    ));
                }
            }
        }
        Ok(dumps)
    }

    /// The dumps in words, tasks with the same trace together, the most frequent first.
    pub(in crate::diagnostic) fn text(dumps: &[(&'static str, Dump)]) -> String {
        let mut text = String::new();
        for (number, (flavor, dump)) in dumps.iter().enumerate() {
            let total = dump.tasks().iter().count();
            // Writing into a string cannot fail.
            let _ = writeln!(text, "runtime {} ({flavor}): {total} tasks\n", number + 1);
            if total > MOST_TASKS {
                let _ = writeln!(text, "the first {MOST_TASKS} of them:\n");
            }
            for (ids, trace) in together(dump) {
                let _ = writeln!(text, "{}\n{trace}\n", named(&ids));
            }
        }
        text
    }

    fn together(dump: &Dump) -> Vec<(Vec<String>, String)> {
        let mut same = BTreeMap::<String, Vec<String>>::new();
        for task in dump.tasks().iter().take(MOST_TASKS) {
            let trace = names::short_trace(&task.trace().to_string());
            same.entry(trace).or_default().push(task.id().to_string());
        }
        let mut groups: Vec<_> = same.into_iter().map(|(trace, ids)| (ids, trace)).collect();
        groups.sort_by_key(|(ids, _)| std::cmp::Reverse(ids.len()));
        groups
    }

    fn named(ids: &[String]) -> String {
        const SHOWN: usize = 8;
        let shown = ids[..ids.len().min(SHOWN)].join(", ");
        match ids.len() {
            1 => format!("task {shown}"),
            all if all > SHOWN => format!("{all} tasks: {shown}, ..."),
            all => format!("{all} tasks: {shown}"),
        }
    }

    #[cfg(test)]
    mod tests {
        use tokio::runtime::Builder;

        use super::*;

        async fn waits_for_the_test() {
            std::future::pending::<()>().await;
        }

        async fn sleeps_for_the_test() {
            tokio::time::sleep(Duration::from_secs(60)).await;
            waits_for_the_test().await;
        }

        #[test]
        fn a_dump_names_what_a_task_waits_for_in_both_flavors() {
            for builder in [&mut Builder::new_current_thread(), Builder::new_multi_thread().worker_threads(1)] {
                let runtime = builder.enable_all().build().unwrap();
                for _ in 0..3 {
                    runtime.spawn(sleeps_for_the_test());
                }
                let handle = runtime.handle().clone();

                let dumps = runtime.block_on(async move { dumped(&[handle]).await }).unwrap();
                let told = text(&dumps);

                assert!(told.contains("sleeps_for_the_test"), "{told}");
                assert!(told.contains("3 tasks: "), "{told}");
            }
        }
    }
}

#[cfg(not(all(tokio_unstable, tokio_taskdump)))]
mod without {
    use tokio::runtime::Handle;

    /// Says why there is no dump; asynchronous as the dump is.
    #[expect(clippy::unused_async, reason = "stands for the dump that other builds have")]
    pub(in crate::diagnostic) async fn dumped(_: &[Handle]) -> Result<String, String> {
        Err("this build has no task dump: it needs --cfg tokio_unstable, --cfg tokio_taskdump and Tokio's feature \
             taskdump, on Linux and one of the processors that Tokio's dump knows"
            .to_owned())
    }

    pub(in crate::diagnostic) fn text(dumps: &str) -> String {
        dumps.to_owned()
    }
}
