//! The interval of the global queue as the time-out that the article takes it for.
fn main() {
    tokio::runtime::Builder::new_multi_thread()
        .global_queue_interval(std::time::Duration::from_millis(1));
}
