//! The metrics that need no flag of the compiler.
fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let metrics = runtime.metrics();
    println!("workers {}", metrics.num_workers());
    println!("tasks {}", metrics.num_alive_tasks());
    println!("global_queue {}", metrics.global_queue_depth());
    println!(
        "busy_us {}",
        metrics.worker_total_busy_duration(0).as_micros()
    );
    println!("parks {}", metrics.worker_park_count(0));
    println!("parks_and_wakes {}", metrics.worker_park_unpark_count(0));
}
