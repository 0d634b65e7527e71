//! Names of functions as a person reads them: what a generic function is made for would fill pages.

/// A name without generic arguments: `poll<F>` is `poll`, `<Vec<T> as Drop>::drop` is `<Vec as Drop>::drop`.
pub(super) fn short(name: &str) -> String {
    let mut short = String::with_capacity(name.len().min(200));
    let mut skipped = 0_usize;
    let mut before = ' ';
    for letter in name.chars() {
        // The arrow of a function's type is no bracket.
        let closes = letter == '>' && before != '-';
        if skipped > 0 {
            skipped = if letter == '<' { skipped + 1 } else { skipped - usize::from(closes) };
        } else if letter == '<' && is_argument(&short) {
            short.truncate(short.trim_end_matches("::").len());
            skipped = 1;
        } else {
            short.push(letter);
        }
        before = letter;
    }
    short
}

/// Whether a bracket after `text` opens the arguments of a name, and not a qualified path.
fn is_argument(text: &str) -> bool {
    text.ends_with(|last: char| last.is_alphanumeric() || matches!(last, '_' | '}' | ']' | ':'))
}

/// A task's trace with short lines. A task that waits for several things has a tree for each; Tokio joins them in a line.
pub(super) fn short_trace(trace: &str) -> String {
    let mut lines = Vec::new();
    for line in trace.lines() {
        let joined = line.rfind(ROOT).filter(|place| line[..*place].ends_with(|last: char| last.is_ascii_digit()));
        let (end, root) = line.split_at(joined.unwrap_or(line.len()));
        lines.extend([end, root].into_iter().filter(|part| !part.is_empty()).map(short_line));
    }
    lines.join("\n")
}

/// What the root of a tree begins with.
const ROOT: char = '╼';

/// A line of a task's trace, `name at file:line:column`, with a short name and the file as of its crate.
fn short_line(line: &str) -> String {
    match line.rsplit_once(" at ") {
        Some((name, place)) => format!("{} at {}", short(name), short_place(place)),
        None => short(line),
    }
}

/// A file below cargo's registry from its crate on, a file of the standard library from its library on.
fn short_place(place: &str) -> &str {
    let after_registry = place.split_once("/registry/src/").and_then(|(_, rest)| rest.split_once('/'));
    let after_rustc = place.strip_prefix("/rustc/").and_then(|rest| rest.split_once('/'));
    after_registry.or(after_rustc).map_or(place, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generic_arguments_go_and_the_name_stays() {
        for (name, expected) in [
            ("payments::pay", "payments::pay"),
            ("poll<core::pin::Pin<&mut F>, ()>", "poll"),
            (
                "core::ops::FnOnce::call_once::<fn() -> u8, ()>::{closure#0}",
                "core::ops::FnOnce::call_once::{closure#0}",
            ),
            ("<alloc::vec::Vec<T> as core::ops::Drop>::drop", "<alloc::vec::Vec as core::ops::Drop>::drop"),
            ("{closure#0}<A, B>", "{closure#0}"),
            ("<&mut F as Future>::poll", "<&mut F as Future>::poll"),
            ("cut_off<in::the<middle", "cut_off"),
        ] {
            assert_eq!(short(name), expected);
        }
    }

    #[test]
    fn a_line_of_a_trace_keeps_its_place_without_where_crates_lie() {
        let line = "  └╼ poll<F> at /home/a/.cargo/registry/src/index-1/tokio-1.54.1/src/time/sleep.rs:1:2";

        assert_eq!(short_line(line), "  └╼ poll at tokio-1.54.1/src/time/sleep.rs:1:2");
        assert_eq!(short_line("f at /rustc/abc/library/core/src/lib.rs:1:2"), "f at library/core/src/lib.rs:1:2");
        assert_eq!(short_trace("╼ a at x.rs:1:2╼ b at y.rs:3:4"), "╼ a at x.rs:1:2\n╼ b at y.rs:3:4");
        assert_eq!(short_line("f at /srv/src/lib.rs:1:2"), "f at /srv/src/lib.rs:1:2");
    }
}
