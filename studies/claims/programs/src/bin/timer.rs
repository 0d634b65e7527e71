//! How late a sleep of 100 microseconds ends on the current_thread runtime: the median of 200.
use std::time::{Duration, Instant};

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let asked = Duration::from_micros(100);
    let mut late: Vec<u128> = runtime.block_on(async {
        let mut seen = Vec::new();
        for _ in 0..200 {
            let begun = Instant::now();
            tokio::time::sleep(asked).await;
            seen.push((begun.elapsed() - asked).as_nanos());
        }
        seen
    });
    late.sort_unstable();
    println!("late_ns {}", late[late.len() / 2]);
}
