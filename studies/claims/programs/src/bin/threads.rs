//! The threads of a runtime with one worker: beside the main thread and the worker, after it has served a connection.
use std::fs;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

fn main() {
    let without = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    without.block_on(without.spawn(async {})).unwrap();
    let without_io = threads();
    drop(without);
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let served = runtime.spawn(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, server) = tokio::join!(
            TcpStream::connect(listener.local_addr().unwrap()),
            listener.accept()
        );
        client.is_ok() && server.is_ok()
    });
    assert!(runtime.block_on(served).unwrap());
    let with_io = threads();
    println!("beside_main_and_worker {}", with_io - 2);
    println!("more_with_io {}", with_io - without_io);
}
