//! A waker and an abort handle of a local task on another thread: compiles only if the task's count is atomic.
use std::rc::Rc;
use std::task::Waker;

fn on_another_thread(waker: Waker, abort: tokio::task::AbortHandle) {
    std::thread::spawn(move || drop((waker.clone(), abort.clone())));
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let mine = Rc::new(1);
        let task = tokio::task::spawn_local(async move {
            std::future::poll_fn(|context| std::task::Poll::Ready((context.waker().clone(), *mine)))
                .await
        });
        let abort = task.abort_handle();
        on_another_thread(task.await.unwrap().0, abort);
    });
}
