//! Where a service listens: on 127.0.0.1 and never at any other address.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted; the kernel takes the lower of this and `net.core.somaxconn`.
///
/// A generator opens all its connections at once. With std's 128 the ones beyond would be retried by the kernel after a
/// second, which would be measured as the service's own latency.
const BACKLOG: u32 = 4096;

/// A listener at `port` in the runtime that is entered; several that are `shared` may listen there, each for a share of
/// the connections: the kernel picks one by a hash of the client's address and never moves a connection later.
pub fn loopback(port: u16, shared: bool) -> io::Result<TcpListener> {
    let listen = || {
        let socket = TcpSocket::new_v4()?;
        // A port in TIME_WAIT from the window before is free.
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(shared)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|error| io::Error::new(error.kind(), format!("cannot listen on 127.0.0.1:{port}: {error}")))
}
