//! Where jobs run: on the runtime that answers, or on a second one.

use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinError;

/// The nice value of threads that give way to all others.
const GIVES_WAY: i32 = 19;

/// A place for jobs.
#[derive(Debug)]
pub enum Place {
    /// The runtime that answers.
    Here,
    /// A runtime for jobs alone.
    There(Second),
}

/// A second runtime. It is dropped inside the first, where a runtime must not wait for its own end.
#[derive(Debug)]
pub struct Second(Option<Runtime>);

impl Place {
    /// A second runtime with that many workers, whose threads give way if `is_niced`.
    pub fn second(workers: usize, is_niced: bool) -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(workers).thread_name("jobs");
        if is_niced {
            builder.on_thread_start(|| {
                // On Linux "this process" is this very thread. More nice is never refused.
                let _ = rustix::process::setpriority_process(None, GIVES_WAY);
            });
        }
        Ok(Self::There(Second(Some(builder.build()?))))
    }

    /// Runs a job there and waits for its result.
    pub async fn run(&self, job: impl FnOnce() -> u64 + Send + 'static) -> Result<u64, JoinError> {
        let task = async move { job() };
        match self {
            Self::There(Second(Some(runtime))) => runtime.spawn(task),
            _ => tokio::spawn(task),
        }
        .await
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The name of the thread that a job runs on, and the thread's nice value.
    async fn thread_of_a_job(place: &Place) -> (String, i32) {
        let (tell, told) = std::sync::mpsc::channel();
        let job = move || {
            let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
            // The name stands in brackets; the nice value is the 19th field, so the 17th after it.
            let after_name = stat.rsplit_once(") ").unwrap().1;
            let nice = after_name.split(' ').nth(16).unwrap().parse().unwrap();
            tell.send((std::thread::current().name().unwrap_or_default().to_owned(), nice)).unwrap();
            0
        };
        place.run(job).await.unwrap();
        told.recv().unwrap()
    }

    #[tokio::test]
    async fn a_job_of_the_second_runtime_has_a_thread_of_that() {
        let own = fs::read_to_string("/proc/thread-self/stat").unwrap();
        let own_nice: i32 = own.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().parse().unwrap();

        assert_eq!(thread_of_a_job(&Place::second(1, false).unwrap()).await, ("jobs".to_owned(), own_nice));
        assert_ne!(thread_of_a_job(&Place::Here).await.0, "jobs");
    }

    #[tokio::test]
    async fn the_threads_of_a_niced_runtime_give_way_and_no_others() {
        assert_eq!(thread_of_a_job(&Place::second(1, true).unwrap()).await.1, GIVES_WAY);
        assert_ne!(thread_of_a_job(&Place::Here).await.1, GIVES_WAY);
    }
}
