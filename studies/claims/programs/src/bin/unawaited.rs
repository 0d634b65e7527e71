//! Ten thousand tasks that nobody awaits, each of which ends: how many are still alive afterwards.
use std::time::Duration;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for _ in 0..10_000 {
            tokio::spawn(tokio::task::yield_now());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    });
    println!("alive {}", runtime.metrics().num_alive_tasks());
}
