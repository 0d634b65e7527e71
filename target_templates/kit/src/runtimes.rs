//! The runtimes under test: one, or several of one thread each that share the port (thread per core).

use tokio::runtime::{EnterGuard, Handle, Runtime};

/// What serves an app: one runtime, or several that each accept connections of their own at the same port.
#[derive(Debug)]
pub struct Runtimes(Vec<Runtime>);

impl From<Runtime> for Runtimes {
    fn from(one: Runtime) -> Self {
        Self(vec![one])
    }
}

impl From<Vec<Runtime>> for Runtimes {
    fn from(several: Vec<Runtime>) -> Self {
        Self(several)
    }
}

impl Runtimes {
    /// Enters the first, where an app starts tasks that it has once.
    #[must_use]
    pub fn enter(&self) -> Option<EnterGuard<'_>> {
        self.0.first().map(Runtime::enter)
    }

    /// A handle of each, for an app that spreads its tasks over them.
    #[must_use]
    pub fn handles(&self) -> Vec<Handle> {
        self.0.iter().map(|runtime| runtime.handle().clone()).collect()
    }

    pub(crate) fn as_slice(&self) -> &[Runtime] {
        &self.0
    }

    /// Ends all without waiting: a blocking task cannot be stopped and may run for long.
    pub(crate) fn shutdown_background(self) {
        self.0.into_iter().for_each(Runtime::shutdown_background);
    }
}
