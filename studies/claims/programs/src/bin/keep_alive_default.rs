//! After how many seconds an idle thread of the blocking pool ends where nothing is set.
use std::thread;
use std::time::{Duration, Instant};

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    runtime.block_on(runtime.spawn_blocking(|| ())).unwrap();
    let begun = Instant::now();
    while runtime.metrics().num_blocking_threads() > 0 && begun.elapsed() < Duration::from_secs(30)
    {
        thread::sleep(Duration::from_millis(20));
    }
    println!("seconds {:.1}", begun.elapsed().as_secs_f64());
}
