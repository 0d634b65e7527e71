"""A relay before the Docker engine's socket that a test can stop: for the engine it is as if it had gone away."""

import contextlib
import socket
import threading

ENGINE = "/var/run/docker.sock"


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        return
    finally:
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def serve(path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        print("ready", flush=True)
        while True:
            client, _ = listener.accept()
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(ENGINE)
            for source, sink in ((client, engine), (engine, client)):
                threading.Thread(target=pump, args=(source, sink), daemon=True).start()
