//! The interval of the global queue as a number of ticks, and a real time-out beside it.
fn main() {
    tokio::runtime::Builder::new_multi_thread()
        .global_queue_interval(31)
        .thread_keep_alive(std::time::Duration::from_millis(1));
}
