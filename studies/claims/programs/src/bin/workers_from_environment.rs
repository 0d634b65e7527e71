//! The default number of workers, where the environment names another one than there are cores.
fn main() {
    let cores = std::thread::available_parallelism().unwrap().get();
    std::env::set_var("TOKIO_WORKER_THREADS", (cores + 3).to_string());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!(
        "more_than_cores {}",
        runtime.metrics().num_workers() - cores
    );
}
