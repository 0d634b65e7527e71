//! Options and settings: each reaches the service as the environment variable `OPT_<NAME>`.

use std::collections::BTreeMap;
use std::fmt;

const PREFIX: &str = "OPT_";

/// A value in the environment that the target cannot use; the process ends with the usage code 64 (`EX_USAGE`).
#[derive(Debug, PartialEq, Eq)]
pub struct BadOption {
    name: String,
    value: String,
    allowed: String,
}

impl fmt::Display for BadOption {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, allowed } = self;
        write!(out, "{PREFIX}{name}={value:?}: must be {allowed}")
    }
}

impl std::error::Error for BadOption {}

/// Every option and setting in the environment, by lower-case name, as the text that was given.
#[must_use]
pub fn given() -> BTreeMap<String, String> {
    std::env::vars().filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?.to_lowercase(), value))).collect()
}

/// One of `choices`, the first where nothing is given.
///
/// # Errors
/// When the given value is none of them.
pub fn choice<T: Copy>(name: &str, value: Option<&str>, choices: &[(&str, T)]) -> Result<T, BadOption> {
    let bad = |value: &str| {
        let names: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        BadOption { name: name.to_uppercase(), value: value.to_owned(), allowed: names.join(" or ") }
    };
    let Some(value) = value else {
        return choices.first().map(|(_, choice)| *choice).ok_or_else(|| bad(""));
    };
    let found = choices.iter().find(|(word, _)| *word == value);
    found.map(|(_, choice)| *choice).ok_or_else(|| bad(value))
}

/// A number within `low..=high`, `default` where nothing is given.
///
/// # Errors
/// When the given value is no number or lies outside.
pub fn number(name: &str, value: Option<&str>, default: f64, low: f64, high: f64) -> Result<f64, BadOption> {
    let Some(value) = value else { return Ok(default) };
    match value.parse::<f64>() {
        Ok(number) if low <= number && number <= high => Ok(number),
        _ => Err(BadOption {
            name: name.to_uppercase(),
            value: value.to_owned(),
            allowed: format!("a number from {low} to {high}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_that_is_not_given_is_the_first() {
        assert_eq!(choice("mode", None, &[("a", 1), ("b", 2)]), Ok(1));
    }

    #[test]
    fn an_unknown_choice_names_the_allowed_ones() {
        let error = choice("mode", Some("c"), &[("a", 1), ("b", 2)]).unwrap_err();
        assert_eq!(error.to_string(), "OPT_MODE=\"c\": must be a or b");
    }

    #[test]
    fn a_number_outside_its_bounds_is_refused() {
        let error = number("check_ms", Some("-1"), 2.0, 0.0, 1000.0).unwrap_err();
        assert_eq!(error.to_string(), "OPT_CHECK_MS=\"-1\": must be a number from 0 to 1000");
        assert!(number("check_ms", Some("nan"), 2.0, 0.0, 1000.0).is_err());
    }
}
