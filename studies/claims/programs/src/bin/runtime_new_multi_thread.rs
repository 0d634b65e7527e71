//! The constructor as the article writes it.
fn main() {
    let _ = tokio::runtime::Runtime::new_multi_thread();
}
