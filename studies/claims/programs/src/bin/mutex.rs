//! A million uncontended locks in async code, not held across an await: std's mutex against Tokio's.
use std::hint::black_box;
use std::time::Instant;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let rounds = 1_000_000u32;
    let (std, tokio) = (std::sync::Mutex::new(0u32), tokio::sync::Mutex::new(0u32));
    let (of_std, of_tokio) = runtime.block_on(async {
        let begun = Instant::now();
        for _ in 0..rounds {
            *black_box(&std).lock().unwrap() += 1;
        }
        let of_std = begun.elapsed();
        let begun = Instant::now();
        for _ in 0..rounds {
            *black_box(&tokio).lock().await += 1;
        }
        (of_std, begun.elapsed())
    });
    println!("std_ns {:.1}", of_std.as_nanos() as f64 / f64::from(rounds));
    println!(
        "tokio_ns {:.1}",
        of_tokio.as_nanos() as f64 / f64::from(rounds)
    );
    println!(
        "std_over_tokio {:.2}",
        of_std.as_secs_f64() / of_tokio.as_secs_f64()
    );
}
