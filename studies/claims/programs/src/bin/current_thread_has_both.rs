//! A connection and a blocking job on the current_thread runtime.
use tokio::net::{TcpListener, TcpStream};

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let works = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, server) = tokio::join!(
            TcpStream::connect(listener.local_addr().unwrap()),
            listener.accept()
        );
        let blocking = tokio::task::spawn_blocking(|| true).await.unwrap();
        client.is_ok() && server.is_ok() && blocking
    });
    println!("works {}", u8::from(works));
}
