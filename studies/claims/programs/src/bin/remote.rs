//! How often another thread schedules onto the current_thread runtime while it awaits ten blocking jobs.
use std::time::Duration;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let job = || std::thread::sleep(Duration::from_millis(2));
        for _ in 0..10 {
            let waiting = tokio::spawn(async move { tokio::task::spawn_blocking(job).await });
            waiting.await.unwrap().unwrap();
        }
    });
    println!(
        "from_other_threads {}",
        runtime.metrics().remote_schedule_count()
    );
}
