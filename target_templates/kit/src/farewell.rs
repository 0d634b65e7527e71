//! The stop as it is seen by what outlives its request: a WebSocket has a close to send before the process ends.

use std::sync::LazyLock;

use tokio::sync::watch;

/// Of the process, as its stop is: a handler that is written for a router has no way to the one that serves it.
static STOPPED: LazyLock<watch::Sender<bool>> = LazyLock::new(|| watch::channel(false).0);

/// Holds the end of the process until it is dropped, as an answer in progress does: for two seconds at most.
///
/// ```
/// # async fn hold(mut messages: tokio::sync::mpsc::Receiver<String>) {
/// let mut farewell = kit::Farewell::default();
/// loop {
///     tokio::select! {
///         Some(_message) = messages.recv() => (),
///         () = farewell.due() => return, // say goodbye first
///         else => return,
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Farewell(watch::Receiver<bool>);

impl Default for Farewell {
    fn default() -> Self {
        Self(STOPPED.subscribe())
    }
}

impl Farewell {
    /// Waits until the process shall stop.
    pub async fn due(&mut self) {
        // The sender is static and never dropped, so this cannot fail.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }
}

/// Tells all who hold one that the process shall stop, and waits until none is held.
pub(crate) async fn all_said() {
    STOPPED.send_replace(true);
    STOPPED.closed().await;
}
