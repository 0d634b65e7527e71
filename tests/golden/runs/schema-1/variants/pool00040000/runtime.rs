// the measured file
Builder::new_multi_thread()
        .enable_all()
        .worker_threads(4)
