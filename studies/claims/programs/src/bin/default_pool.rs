//! The blocking pool where nothing is set: its threads at the start, and with 600 jobs that all want one.
use std::thread;
use std::time::Duration;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let metrics = runtime.metrics();
    println!("threads_at_start {}", metrics.num_blocking_threads());
    for _ in 0..600 {
        runtime.spawn_blocking(|| thread::sleep(Duration::from_millis(700)));
    }
    thread::sleep(Duration::from_millis(500));
    println!("most_threads {}", metrics.num_blocking_threads());
    runtime.shutdown_background();
}
