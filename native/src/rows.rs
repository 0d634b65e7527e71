//! What is known of each request while a window runs, one row a request.

/// What became of a request; the numbers are those of the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum Outcome {
    /// None yet. In the samples: unfinished.
    Pending = -1,
    /// The expected answer came.
    Completed = 0,
    /// Another answer, or the connection broke.
    Failed = 1,
    /// No answer within the time-out of the intended time.
    TimedOut = 2,
    /// The bounded queue was full.
    Dropped = 3,
}

/// Still in flight or queued when the drain ended, as a number in the samples.
pub const UNFINISHED: i8 = 4;

/// No connection took the request.
pub const NO_CONNECTION: i32 = -1;

/// One request. Times are nanoseconds of the clock, 0 for never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// When it was meant to be sent.
    pub intended_ns: i64,
    /// When the dispatcher handed it over; equals the intended time in the closed model without thinking.
    pub woken_ns: i64,
    /// Immediately before it was written, or before its own connection was begun.
    pub sent_ns: i64,
    /// Immediately after the read that completed its answer.
    pub done_ns: i64,
    /// Number of the connection that took it.
    pub connection: i32,
    /// Length of the answer's body, at most `i32::MAX`.
    pub bytes: i32,
    /// Status of the answer, 0 without one.
    pub status: i16,
    /// Index of its kind.
    pub kind: i16,
    /// What became of it.
    pub outcome: Outcome,
}

impl Row {
    /// A request of which only the time and the kind are known.
    #[must_use]
    pub fn planned(intended_ns: i64, kind: i16) -> Self {
        Self {
            intended_ns,
            woken_ns: 0,
            sent_ns: 0,
            done_ns: 0,
            connection: NO_CONNECTION,
            bytes: 0,
            status: 0,
            kind,
            outcome: Outcome::Pending,
        }
    }

    /// The outcome as the number of the samples.
    #[must_use]
    pub fn outcome_code(&self) -> i8 {
        match self.outcome {
            Outcome::Pending => UNFINISHED,
            Outcome::Completed | Outcome::Failed | Outcome::TimedOut | Outcome::Dropped => self.outcome as i8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_outcome_is_unfinished() {
        let mut row = Row::planned(1, 0);

        assert_eq!(row.outcome_code(), 4);
        row.outcome = Outcome::Dropped;
        assert_eq!(row.outcome_code(), 3);
    }

    #[test]
    fn a_row_fits_one_cache_line() {
        assert!(size_of::<Row>() <= 64);
    }
}
