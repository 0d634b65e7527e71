//! Blocking calls made directly by tasks: what the blocking pool sees of them, and how long workers are parked meanwhile.
use std::thread;
use std::time::{Duration, Instant};

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let metrics = runtime.metrics();
    // Workers are started as jobs of the same pool: they have to run before anything is counted.
    runtime.block_on(runtime.spawn(async {})).unwrap();
    thread::sleep(Duration::from_millis(100));
    assert_eq!(
        metrics.blocking_queue_depth() + metrics.num_blocking_threads(),
        0
    );
    let before: f64 = (0..2)
        .map(|worker| metrics.worker_total_busy_duration(worker).as_secs_f64())
        .sum();
    let begun = Instant::now();
    let tasks: Vec<_> = (0..40)
        .map(|_| runtime.spawn(async { thread::sleep(Duration::from_millis(20)) }))
        .collect();
    let mut most = 0;
    while tasks.iter().any(|task| !task.is_finished()) {
        most = most.max(metrics.blocking_queue_depth() + metrics.num_blocking_threads());
        thread::sleep(Duration::from_millis(1));
    }
    let all = begun.elapsed().as_secs_f64() * 2.0;
    thread::sleep(Duration::from_millis(50));
    let busy: f64 = (0..2)
        .map(|worker| metrics.worker_total_busy_duration(worker).as_secs_f64())
        .sum();
    println!("queued_or_running_in_the_pool {most}");
    println!(
        "parked_percent {}",
        (1.0 - (busy - before) / all).max(0.0) * 100.0
    );
}
