//! One writer for all: while it writes, frames gather, and it takes them all at once.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

use crate::file::Disk;
use crate::frame::Frame;

/// Frames that may wait, and so the most that one batch holds.
const MOST: usize = 256;

/// A frame, and who waits until it is written.
type Waiting = (Frame, oneshot::Sender<()>);

/// The way to the one writer.
#[derive(Clone, Debug)]
pub struct Batches(mpsc::Sender<Waiting>);

impl Batches {
    /// Starts the writer as a task of the runtime that is entered.
    pub fn start(disk: Arc<Disk>) -> Self {
        let (sender, frames) = mpsc::channel(MOST);
        tokio::spawn(write_all(disk, frames));
        Self(sender)
    }

    /// Waits until a frame is written; false when it is not.
    pub async fn write(&self, frame: Frame) -> bool {
        let (tell, written) = oneshot::channel();
        self.0.send((frame, tell)).await.is_ok() && written.await.is_ok()
    }
}

async fn write_all(disk: Arc<Disk>, mut frames: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::new();
    while frames.recv_many(&mut batch, MOST).await > 0 {
        let (disk, waiting) = (Arc::clone(&disk), std::mem::take(&mut batch));
        let job = spawn_blocking(move || {
            for (frame, tell) in waiting {
                if disk.write(&frame).is_ok() {
                    // Nobody waits any more where the client went away. Dropped untold, the others learn of the fault.
                    let _ = tell.send(());
                }
            }
        });
        // A job that panicked has dropped its frames untold; the next batch is written all the same.
        let _ = job.await;
    }
}
