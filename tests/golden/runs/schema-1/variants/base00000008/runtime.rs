// the measured file
Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(8)
