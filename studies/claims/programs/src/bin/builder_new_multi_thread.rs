//! The constructor that there is.
fn main() {
    let _ = tokio::runtime::Builder::new_multi_thread();
}
