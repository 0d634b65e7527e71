//! What the environment says: the two ports, the upstream's, and the options and settings as `OPT_<NAME>`.
//!
//! A value that cannot be used is refused, never replaced by a default: a window must not measure another setting than
//! the one it names.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::{env, fmt, io};

const PREFIX: &str = "OPT_";

/// A variable of the environment that cannot be used, with what it may hold; worth the exit code 64 (`EX_USAGE`).
#[derive(Debug, PartialEq, Eq)]
pub struct BadValue {
    variable: String,
    value: Option<String>,
    rule: String,
}

impl fmt::Display for BadValue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(out, "{}={value:?}: {}", self.variable, self.rule),
            None => write!(out, "{} is not set: {}", self.variable, self.rule),
        }
    }
}

impl std::error::Error for BadValue {}

impl From<BadValue> for io::Error {
    fn from(fault: BadValue) -> Self {
        Self::new(io::ErrorKind::InvalidInput, fault)
    }
}

/// The port that the variable `name` gives, such as `PORT` or `ADMIN_PORT`.
///
/// # Errors
/// When the variable is not set, or holds no number of a port.
pub fn port(name: &str) -> Result<u16, BadValue> {
    let value = env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let port = value.as_deref().and_then(|text| text.parse::<NonZeroU16>().ok());
    let rule = "must be a port number from 1 to 65535";
    port.map(NonZeroU16::get).ok_or_else(|| BadValue { variable: name.to_owned(), value, rule: rule.to_owned() })
}

/// Where the upstream listens, of a target whose `target.toml` declares one: `127.0.0.1:$UPSTREAM_PORT`.
///
/// # Errors
/// When the variable is not set or gives no port.
pub fn upstream() -> Result<SocketAddr, BadValue> {
    port("UPSTREAM_PORT").map(|port| (Ipv4Addr::LOCALHOST, port).into())
}

/// The options and settings that were given, by lower-case name, as text.
///
/// A service takes each one that it declares and then calls [`Given::finish`], so that a name it does not know is
/// refused rather than silently without effect.
///
/// ```
/// use kit::Given;
///
/// # fn main() -> Result<(), kit::BadValue> {
/// let mut given = Given::of([("cache", "off"), ("entries", "64")]); // from the environment: Given::from_environment()
/// let caches = given.choice("cache", [("on", true), ("off", false)])?;
/// let entries = given.integer("entries", 1024, 1..=65_536)?;
/// let ratio = given.number("ratio", 0.5, 0.0..=1.0)?; // not given, so its default
/// given.finish()?;
///
/// assert_eq!((caches, entries, ratio), (false, 64, 0.5));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given(BTreeMap<String, String>);

impl Given {
    /// Everything in the environment that is called `OPT_<NAME>`.
    #[must_use]
    pub fn from_environment() -> Self {
        let named = env::vars_os().filter_map(|(name, value)| {
            let name = name.to_str()?.strip_prefix(PREFIX)?.to_lowercase();
            Some((name, value.to_string_lossy().into_owned()))
        });
        Self(named.collect())
    }

    /// The same from pairs of name and value, for tests.
    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Names and values as they were given.
    pub(crate) fn into_values(self) -> BTreeMap<String, String> {
        self.0
    }

    /// Takes one of `choices` by its word; the first where nothing was given.
    ///
    /// # Errors
    /// When the given word is none of them.
    pub fn choice<T: Copy, const N: usize>(&mut self, name: &str, choices: [(&str, T); N]) -> Result<T, BadValue> {
        const { assert!(N > 0, "a choice needs something to choose from") };
        let Some(value) = self.0.remove(name) else { return Ok(choices[0].1) };
        let found = choices.iter().find(|(word, _)| *word == value);
        let words = choices.map(|(word, _)| word);
        found.map(|(_, chosen)| *chosen).ok_or_else(|| bad(name, value, format!("must be {}", words.join(" or "))))
    }

    /// Takes a number within `bounds`; `default` where nothing was given.
    ///
    /// # Errors
    /// When the given text is no number or lies outside.
    pub fn number(&mut self, name: &str, default: f64, bounds: RangeInclusive<f64>) -> Result<f64, BadValue> {
        let Some(value) = self.0.remove(name) else { return Ok(default) };
        // NaN is inside no bounds, so it is refused here as well.
        let number = value.parse().ok().filter(|number| bounds.contains(number));
        number.ok_or_else(|| bad(name, value, format!("must be a number from {} to {}", bounds.start(), bounds.end())))
    }

    /// Takes a whole number within `bounds`; `default` where nothing was given.
    ///
    /// # Errors
    /// When the given text is no whole number or lies outside.
    pub fn integer(&mut self, name: &str, default: u32, bounds: RangeInclusive<u32>) -> Result<u32, BadValue> {
        let Some(value) = self.0.remove(name) else { return Ok(default) };
        let integer = value.parse().ok().filter(|integer| bounds.contains(integer));
        let (low, high) = (bounds.start(), bounds.end());
        integer.ok_or_else(|| bad(name, value, format!("must be a whole number from {low} to {high}")))
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// When something was given that the target did not take.
    pub fn finish(self) -> Result<(), BadValue> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, value)) => Err(bad(&name, value, "this target has no such option or setting".to_owned())),
        }
    }
}

fn bad(name: &str, value: String, rule: String) -> BadValue {
    BadValue { variable: format!("{PREFIX}{}", name.to_uppercase()), value: Some(value), rule }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODES: [(&str, i32); 2] = [("a", 1), ("b", 2)];

    #[test]
    fn a_choice_that_is_not_given_is_the_first() {
        assert_eq!(Given::default().choice("mode", MODES), Ok(1));
    }

    #[test]
    fn a_given_choice_is_taken() {
        assert_eq!(Given::of([("mode", "b")]).choice("mode", MODES), Ok(2));
    }

    #[test]
    fn an_unknown_choice_names_the_allowed_ones() {
        let error = Given::of([("mode", "c")]).choice("mode", MODES).unwrap_err();

        assert_eq!(error.to_string(), "OPT_MODE=\"c\": must be a or b");
    }

    #[test]
    fn a_number_is_taken_up_to_its_very_bounds() {
        for (text, number) in [("0", 0.0), ("0.25", 0.25), ("1e3", 1000.0)] {
            assert_eq!(Given::of([("check_ms", text)]).number("check_ms", 2.0, 0.0..=1000.0), Ok(number));
        }
    }

    #[test]
    fn a_number_outside_its_bounds_or_none_at_all_is_refused() {
        for text in ["-1", "1000.1", "nan", "inf", "2ms", ""] {
            let error = Given::of([("check_ms", text)]).number("check_ms", 2.0, 0.0..=1000.0).unwrap_err();

            assert_eq!(error.to_string(), format!("OPT_CHECK_MS={text:?}: must be a number from 0 to 1000"));
        }
    }

    #[test]
    fn an_integer_is_taken_up_to_its_very_bounds() {
        for (text, integer) in [("1", 1), ("64", 64)] {
            assert_eq!(Given::of([("threads", text)]).integer("threads", 2, 1..=64), Ok(integer));
        }
        assert_eq!(Given::default().integer("threads", 2, 1..=64), Ok(2));
    }

    #[test]
    fn an_integer_outside_its_bounds_or_no_whole_number_is_refused() {
        for text in ["0", "65", "-1", "2.5", "many", ""] {
            let error = Given::of([("threads", text)]).integer("threads", 2, 1..=64).unwrap_err();

            assert_eq!(error.to_string(), format!("OPT_THREADS={text:?}: must be a whole number from 1 to 64"));
        }
    }

    #[test]
    fn a_name_that_nobody_took_is_refused() {
        let mut given = Given::of([("mode", "b"), ("mood", "good")]);
        given.choice("mode", MODES).unwrap();

        let error = given.finish().unwrap_err();

        assert_eq!(error.to_string(), "OPT_MOOD=\"good\": this target has no such option or setting");
    }
}
