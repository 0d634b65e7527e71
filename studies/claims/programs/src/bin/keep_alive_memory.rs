//! What 64 idle blocking threads hold half a second after a burst, against a keep-alive that has let them go.
use std::time::Duration;
use std::{fs, hint, thread};

fn rss_kib() -> i64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn after_a_burst(keep_alive: Duration) -> i64 {
    let before = rss_kib();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_keep_alive(keep_alive)
        .build()
        .unwrap();
    let job = || {
        hint::black_box([1u8; 64 * 1024]);
        thread::sleep(Duration::from_millis(100));
    };
    let jobs: Vec<_> = (0..64).map(|_| runtime.spawn_blocking(job)).collect();
    for job in jobs {
        runtime.block_on(job).unwrap();
    }
    thread::sleep(Duration::from_millis(500));
    rss_kib() - before
}

fn main() {
    let short = after_a_burst(Duration::from_millis(50));
    let usual = after_a_burst(Duration::from_secs(10));
    println!("short_kib {short}");
    println!("usual_kib {usual}");
    println!("saved_kib {}", usual - short);
}
