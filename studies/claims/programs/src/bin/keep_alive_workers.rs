//! Four idle workers and a keep-alive of 20 ms: how many threads have ended after half a second.
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

static ENDED: AtomicUsize = AtomicUsize::new(0);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .thread_keep_alive(Duration::from_millis(20))
        .on_thread_stop(|| {
            ENDED.fetch_add(1, Ordering::SeqCst);
        })
        .build()
        .unwrap();
    thread::sleep(Duration::from_millis(500));
    println!("workers_ended {}", ENDED.load(Ordering::SeqCst));
    runtime.block_on(runtime.spawn_blocking(|| ())).unwrap();
    thread::sleep(Duration::from_millis(500));
    println!("blocking_threads_ended {}", ENDED.load(Ordering::SeqCst));
}
