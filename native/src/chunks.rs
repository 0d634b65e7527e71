//! A body in chunks: where the bytes of the body lie, and where the answer ends.

use std::ops::Range;

use crate::answer::NoAnswer;

const SIZE_DIGITS: u8 = 15; // keeps every size well inside a u64

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Size { digits: u8 },
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    LineStart,
    Line,
    LineLf,
    LastLf,
    Complete,
}

/// Where in the sequence of chunks the reading stands.
#[derive(Debug)]
pub struct Chunks {
    step: Step,
    left: u64, // of the chunk being read
}

impl Default for Chunks {
    fn default() -> Self {
        Self { step: Step::Size { digits: 0 }, left: 0 }
    }
}

impl Chunks {
    /// Whether the last chunk and its trailer have been read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.step == Step::Complete
    }

    /// Read up to the end of a piece of the body, of `data`, or of the whole, whatever comes first. Return how many
    /// bytes that were, and which of them are body.
    ///
    /// # Errors
    /// [`NoAnswer`] when these are no chunks.
    pub fn read(&mut self, data: &[u8]) -> Result<(usize, Range<usize>), NoAnswer> {
        for (at, &byte) in data.iter().enumerate() {
            if self.step == Step::Data {
                let length = (data.len() - at).min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= length as u64;
                if self.left == 0 {
                    self.step = Step::DataCr;
                }
                return Ok((at + length, at..at + length));
            }
            self.step = self.next(byte)?;
            if self.step == Step::Complete {
                return Ok((at + 1, 0..0));
            }
        }
        Ok((data.len(), 0..0))
    }

    fn next(&mut self, byte: u8) -> Result<Step, NoAnswer> {
        match (self.step, byte) {
            (Step::Size { digits }, b'\r') if digits > 0 => Ok(Step::SizeLf),
            (Step::Size { digits }, b';' | b' ' | b'\t') if digits > 0 => Ok(Step::Extension),
            (Step::Size { digits }, _) if digits < SIZE_DIGITS => {
                let digit = char::from(byte).to_digit(16).ok_or(NoAnswer)?;
                self.left = self.left * 16 + u64::from(digit);
                Ok(Step::Size { digits: digits + 1 })
            }
            (Step::Extension, b'\r') => Ok(Step::SizeLf),
            (Step::Extension, _) => Ok(Step::Extension),
            (Step::SizeLf, b'\n') => Ok(if self.left == 0 { Step::LineStart } else { Step::Data }),
            (Step::DataCr, b'\r') => Ok(Step::DataLf),
            (Step::DataLf, b'\n') => Ok(Step::Size { digits: 0 }),
            (Step::LineStart, b'\r') => Ok(Step::LastLf),
            (Step::Line, b'\r') => Ok(Step::LineLf),
            (Step::LineStart | Step::Line, _) => Ok(Step::Line),
            (Step::LineLf, b'\n') => Ok(Step::LineStart),
            (Step::LastLf, b'\n') => Ok(Step::Complete),
            _ => Err(NoAnswer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(mut data: &[u8]) -> Result<(Vec<u8>, bool), NoAnswer> {
        let (mut chunks, mut body) = (Chunks::default(), Vec::new());
        while !data.is_empty() && !chunks.is_complete() {
            let (used, part) = chunks.read(data)?;
            body.extend_from_slice(&data[part]);
            data = &data[used..];
        }
        Ok((body, chunks.is_complete()))
    }

    #[test]
    fn chunks_with_extensions_and_a_trailer_make_one_body() {
        assert_eq!(body(b"2\r\nab\r\n1 ;x\r\nc\r\n0\r\na: b\r\nc: d\r\n\r\n"), Ok((b"abc".to_vec(), true)));
    }

    #[test]
    fn the_body_is_not_complete_before_the_line_after_the_last_chunk() {
        assert_eq!(body(b"2\r\nab\r\n0\r\n\r"), Ok((b"ab".to_vec(), false)));
    }

    #[test]
    fn what_are_no_chunks_is_refused() {
        for data in ["\r\n", "g\r\n", "2\r\nabc\r\n", "2\nab", "ffffffffffffffff\r\n", "1\r\na\rx"] {
            assert_eq!(body(data.as_bytes()), Err(NoAnswer), "{data:?}");
        }
    }
}
