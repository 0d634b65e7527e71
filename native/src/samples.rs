//! The samples of a window on disk: exact, one column after the other, little-endian, sorted by intended time.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::rows::Row;

/// Return the rows whose intended time lies in [`t0_ns`, `t1_ns`), sorted by it; equals keep the order of the threads.
#[must_use]
pub fn measured(threads: &[Vec<Row>], t0_ns: i64, t1_ns: i64) -> Vec<Row> {
    let inside = |row: &&Row| (t0_ns..t1_ns).contains(&row.intended_ns);
    let mut rows: Vec<Row> = threads.iter().flatten().filter(inside).copied().collect();
    rows.sort_by_key(|row| row.intended_ns);
    rows
}

/// Write every column: intended, woken, sent, done (i64), outcome (i8), status (i16), bytes (i32), kind (i16),
/// connection (i32).
///
/// # Errors
/// What the disk says.
pub fn write(file: &Path, rows: &[Row]) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 18, File::create(file)?);
    column(&mut out, rows, |row| row.intended_ns.to_le_bytes())?;
    column(&mut out, rows, |row| row.woken_ns.to_le_bytes())?;
    column(&mut out, rows, |row| row.sent_ns.to_le_bytes())?;
    column(&mut out, rows, |row| row.done_ns.to_le_bytes())?;
    column(&mut out, rows, |row| row.outcome_code().to_le_bytes())?;
    column(&mut out, rows, |row| row.status.to_le_bytes())?;
    column(&mut out, rows, |row| row.bytes.to_le_bytes())?;
    column(&mut out, rows, |row| row.kind.to_le_bytes())?;
    column(&mut out, rows, |row| row.connection.to_le_bytes())?;
    out.flush()
}

fn column<const N: usize>(out: &mut impl Write, rows: &[Row], bytes: impl Fn(&Row) -> [u8; N]) -> io::Result<()> {
    rows.iter().try_for_each(|row| out.write_all(&bytes(row)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_intended_in_the_measured_stretch_is_kept_in_order() {
        let threads = [
            vec![Row::planned(9, 0), Row::planned(10, 1), Row::planned(19, 2)],
            vec![Row::planned(12, 3), Row::planned(20, 4)],
        ];

        let kinds: Vec<i16> = measured(&threads, 10, 20).iter().map(|row| row.kind).collect();
        assert_eq!(kinds, [1, 3, 2]);
    }
}
