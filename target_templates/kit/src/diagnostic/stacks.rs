//! Where the CPU's time goes, by stack, as the timer of the process finds it.
//!
//! The timer (`setitimer`, SIGPROF) counts the CPU time of the process itself, so it needs no permission, and it finds
//! nothing of what sleeps.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use pprof::{Frames, ProfilerGuardBuilder};

use super::{Told, names};

/// Looks for each second of CPU time: not a divisor of the harness's own beat, and no more than a kernel of 250 Hz gives.
const FREQUENCY: i32 = 249;

/// Where the profiler itself begins, at the inner end of a stack.
const ITSELF: &str = "perf_signal_handler";

/// Looks for `length` and returns a line for each stack: `thread;outermost;...;innermost count`, sorted.
pub(super) fn collected(length: Duration) -> Told {
    let fault = |error| format!("the CPU profiler cannot work here: {error}");
    let guard = ProfilerGuardBuilder::default().frequency(FREQUENCY).build().map_err(fault)?;
    thread::sleep(length);
    let report = guard.report().build().map_err(fault)?;

    let mut counts = BTreeMap::<String, isize>::new();
    for (frames, count) in &report.data {
        *counts.entry(folded(frames)).or_default() += count;
    }
    let lines: Vec<_> = counts.into_iter().map(|(stack, count)| format!("{stack} {count}\n")).collect();
    Ok(lines.concat())
}

/// One stack in a line, outermost first; threads of one name are one.
fn folded(frames: &Frames) -> String {
    let names: Vec<_> = frames.frames.iter().flatten().map(|symbol| plain(&names::short(&symbol.name()))).collect();
    let thread = plain(&frames.thread_name_or_id());
    let outermost_first = names[own(&names)..].iter().rev().map(String::as_str);
    std::iter::once(thread.as_str()).chain(outermost_first).collect::<Vec<_>>().join(";")
}

/// How many frames at the inner end are the profiler's: all up to its signal handler, and the kernel's way into it.
fn own(names: &[String]) -> usize {
    let Some(handler) = names.iter().position(|name| name.contains(ITSELF)) else { return 0 };
    let trampoline = names.get(handler + 1).is_some_and(|name| name == "__restore_rt" || name == "Unknown");
    handler + 1 + usize::from(trampoline)
}

/// A name without what separates frames and lines.
fn plain(name: &str) -> String {
    name.replace([';', '\n', '\r'], ":")
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[inline(never)]
    fn computes_for_the_test(stop: &AtomicBool) -> u64 {
        let mut mixed = 1_u64;
        while !stop.load(Ordering::Relaxed) {
            mixed = (0..10_000_u64).fold(mixed, |mixed, next| black_box(mixed.rotate_left(5) ^ next));
        }
        mixed
    }

    #[test]
    fn what_computes_is_found_by_its_name() {
        // Until it is told to stop: without optimisation the profiler takes a second to begin.
        let stop = AtomicBool::new(false);
        let told = thread::scope(|scope| {
            scope.spawn(|| computes_for_the_test(&stop));
            let told = collected(Duration::from_millis(500));
            stop.store(true, Ordering::Relaxed);
            told.unwrap()
        });

        assert!(told.contains("computes_for_the_test"), "{told}");
        assert!(!told.contains(ITSELF), "{told}");
    }

    #[test]
    fn the_profiler_is_no_part_of_a_stack() {
        let names = ["backtrace::trace", "perf_signal_handler", "__restore_rt", "work", "main"].map(str::to_owned);

        assert_eq!(own(&names), 3);
        assert_eq!(own(&names[3..]), 0);
    }
}
