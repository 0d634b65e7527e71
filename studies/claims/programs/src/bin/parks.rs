//! How often a single worker, which nobody can contend with, parks in 200 waits of 2 ms.
use std::time::Duration;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let waits = runtime.spawn(async {
        for _ in 0..200 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    runtime.block_on(waits).unwrap();
    println!("parks {}", runtime.metrics().worker_park_count(0));
}
