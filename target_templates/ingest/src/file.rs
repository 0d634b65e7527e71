//! The file: it lives in memory, because a container may write nowhere else, and stalls as a disk does.
//!
//! `memfd_create` needs no folder and no mount, and its pages count as memory of the service. What it lacks is the time
//! that a disk takes, so that part is a sleep: once for each so many bytes, as when the page cache has to be written out.

use std::fs::File;
use std::io::{self, SeekFrom};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::sync::Mutex;

use crate::frame::Frame;

/// The file starts again from its beginning at this size, so that its memory stays bounded.
const LARGEST: u64 = 16 * 1024 * 1024;

/// A file in memory.
pub fn in_memory() -> io::Result<File> {
    Ok(File::from(memfd_create("frames", MemfdFlags::CLOEXEC)?))
}

/// A file that stalls.
#[derive(Debug)]
pub struct Disk {
    file: File,
    stalls: Stalls,
    written: AtomicU64,
}

/// How often a file stalls, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stalls {
    pub each_bytes: u64,
    pub wait: Duration,
}

impl Disk {
    pub fn new(file: File, stalls: Stalls) -> Self {
        Self { file, stalls, written: AtomicU64::new(0) }
    }

    /// Writes a frame; blocks the calling thread, now and then for a whole stall.
    pub fn write(&self, frame: &Frame) -> io::Result<()> {
        let (begin, stall) = self.reserve(frame);
        self.file.write_all_at(frame.bytes(), begin % LARGEST)?;
        std::thread::sleep(stall);
        Ok(())
    }

    /// Reads the frame of `length` bytes at the beginning of the file by `tokio::fs`, through a handle of its own.
    ///
    /// It opens and reads, and nothing else: these two are what Tokio can do by `io_uring`, without the blocking pool.
    pub async fn read_first(&self, length: usize) -> io::Result<Vec<u8>> {
        let path = format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd());
        let mut frame = vec![0; length];
        tokio::fs::File::open(path).await?.read_exact(&mut frame).await?;
        Ok(frame)
    }

    /// The place of a frame in all that was written, and how long its write stalls.
    fn reserve(&self, frame: &Frame) -> (u64, Duration) {
        let length = frame.bytes().len() as u64;
        let begin = self.written.fetch_add(length, Ordering::Relaxed);
        let is_full = begin / self.stalls.each_bytes != (begin + length) / self.stalls.each_bytes;
        (begin, if is_full { self.stalls.wait } else { Duration::ZERO })
    }
}

/// The same file by `tokio::fs`: one handle, so one write after the other, each a job of the blocking pool in the end.
#[derive(Debug)]
pub struct TokioDisk {
    disk: Arc<Disk>,
    file: Mutex<tokio::fs::File>,
}

impl TokioDisk {
    pub fn new(disk: Arc<Disk>) -> io::Result<Self> {
        let file = Mutex::new(tokio::fs::File::from_std(disk.file.try_clone()?));
        Ok(Self { disk, file })
    }

    /// Writes a frame; no worker waits for the file.
    pub async fn write(&self, frame: &Frame) -> io::Result<()> {
        let mut file = self.file.lock().await;
        let (begin, stall) = self.disk.reserve(frame);
        file.seek(SeekFrom::Start(begin % LARGEST)).await?;
        file.write_all(frame.bytes()).await?;
        // A write of tokio::fs is over only when it is flushed.
        file.flush().await?;
        if !stall.is_zero() {
            // On a disk the stall would be within the write, on a thread of the blocking pool: so it is here.
            tokio::task::spawn_blocking(move || std::thread::sleep(stall)).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::frame::Buffer;

    const FRAME: usize = 1024;

    fn disk(each_frames: u64) -> (Disk, Arc<Buffer>) {
        let stalls = Stalls { each_bytes: each_frames * FRAME as u64, wait: Duration::from_millis(30) };
        (Disk::new(in_memory().unwrap(), stalls), Arc::new(Buffer::new(4 * FRAME, FRAME)))
    }

    fn content(disk: &Disk, frames: usize) -> Vec<u8> {
        let mut read = vec![0; frames * FRAME];
        disk.file.read_exact_at(&mut read, 0).unwrap();
        read
    }

    #[test]
    fn frames_stand_in_the_file_one_after_the_other() {
        let (disk, buffer) = disk(1000);
        let frames = [buffer.next(), buffer.next()];
        for frame in &frames {
            disk.write(frame).unwrap();
        }

        assert_eq!(content(&disk, 2), frames.map(|frame| frame.bytes().to_vec()).concat());
    }

    #[tokio::test]
    async fn by_tokio_fs_the_file_is_the_same() {
        let (disk, buffer) = disk(1000);
        let disk = Arc::new(disk);
        let by_tokio = TokioDisk::new(Arc::clone(&disk)).unwrap();
        let frames = [buffer.next(), buffer.next()];
        for frame in &frames {
            by_tokio.write(frame).await.unwrap();
        }

        assert_eq!(content(&disk, 2), frames.map(|frame| frame.bytes().to_vec()).concat());
    }

    #[tokio::test]
    async fn the_first_frame_is_read_back_once_it_is_there() {
        let (disk, buffer) = disk(1000);
        let frame = buffer.next();

        let before = disk.read_first(FRAME).await.map_err(|error| error.kind());
        disk.write(&frame).unwrap();

        assert_eq!(before, Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(disk.read_first(FRAME).await.unwrap(), frame.bytes());
    }

    #[test]
    fn a_write_stalls_once_for_each_so_many_bytes() {
        let (disk, buffer) = disk(3);

        let stalls: Vec<bool> = (0..6).map(|_| !disk.reserve(&buffer.next()).1.is_zero()).collect();
        let begun = Instant::now();
        for _ in 0..3 {
            disk.write(&buffer.next()).unwrap();
        }

        assert_eq!(stalls, [false, false, true, false, false, true]);
        assert!(begun.elapsed() >= Duration::from_millis(30));
    }

    #[test]
    fn the_file_stays_bounded() {
        let (disk, buffer) = disk(1000);
        disk.written.store(LARGEST - FRAME as u64, Ordering::Relaxed);
        for _ in 0..2 {
            disk.write(&buffer.next()).unwrap();
        }

        assert_eq!(disk.file.metadata().unwrap().len(), LARGEST);
    }
}
