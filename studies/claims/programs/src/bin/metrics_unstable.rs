//! Histograms of poll times, local queues and the blocking pool, which need `tokio_unstable`.
fn main() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder
        .enable_metrics_poll_time_histogram()
        .build()
        .unwrap();
    let metrics = runtime.metrics();
    println!("buckets {}", metrics.poll_time_histogram_num_buckets());
    println!("local_queue {}", metrics.worker_local_queue_depth(0));
    println!("blocking_queue {}", metrics.blocking_queue_depth());
    println!("blocking_threads {}", metrics.num_blocking_threads());
    println!("parks {}", metrics.worker_park_count(0));
}
