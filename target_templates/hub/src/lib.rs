//! A hub of WebSocket connections that are held open: most only listen, and what one says all on its topic get.
//!
//! A connection is a task that waits and costs no CPU time meanwhile; what it costs is memory: the task, the socket's place in
//! the I/O driver, and the read buffer. No thread comes with it, and none belongs to the driver: the worker that has
//! nothing to do waits for all sockets.

use std::process::ExitCode;

use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use kit::{BadValue, Given, Runtimes, Seat, Topics};

/// The longest message; a longer one ends its connection.
const LONGEST: usize = 64 * 1024;

/// Serves [`app`] by `runtimes` until it is told to stop.
#[must_use]
pub fn serve(runtimes: Runtimes) -> ExitCode {
    kit::serve(runtimes, app(Given::from_environment()))
}

/// The routes, each a WebSocket: on `/topics/{topic}` all who are there get a message, on `/echo` its sender.
///
/// # Errors
/// When an option is given that `target.toml` does not allow.
pub fn app(given: Given) -> Result<Router, BadValue> {
    let hub = Hub { read_buffer: read_buffer(given)?, topics: Topics::default() };
    Ok(Router::new().route("/topics/{topic}", get(join)).route("/echo", get(echo)).with_state(hub))
}

#[derive(Clone)]
struct Hub {
    read_buffer: usize,
    topics: Topics<Utf8Bytes>,
}

impl Hub {
    /// The upgrade, with what a connection may hold.
    fn bounded(&self, upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
        upgrade.read_buffer_size(self.read_buffer).max_message_size(LONGEST)
    }
}

/// The one option of `target.toml`.
fn read_buffer(mut given: Given) -> Result<usize, BadValue> {
    let bytes = given.integer("read_buffer", 1024, 128..=128 * 1024)?;
    given.finish()?;
    Ok(bytes as usize)
}

async fn join(State(hub): State<Hub>, Path(topic): Path<String>, upgrade: WebSocketUpgrade) -> Response {
    let seat = hub.topics.enter(&topic);
    hub.bounded(upgrade).on_upgrade(async move |socket| hold(socket, seat).await)
}

/// One connection on a topic, until either side ends it.
async fn hold(mut socket: WebSocket, mut seat: Seat<Utf8Bytes>) {
    loop {
        let message = tokio::select! {
            came = socket.recv() => match came {
                Some(Ok(Message::Text(text))) => {
                    seat.say(text);
                    continue;
                }
                // The library answers a ping and a goodbye by itself when it is asked for the next message.
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return,
            },
            Some(text) = seat.hear() => Message::Text(text),
        };
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn echo(State(hub): State<Hub>, upgrade: WebSocketUpgrade) -> Response {
    hub.bounded(upgrade).on_upgrade(async |mut socket| {
        while let Some(Ok(message)) = socket.recv().await {
            let is_said = matches!(message, Message::Text(_) | Message::Binary(_));
            if is_said && socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn no_plain_http_is_taken_for_a_connection() {
        for path in ["/topics/prices", "/echo"] {
            let app = app(Given::default()).unwrap();

            let answer = app.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();

            assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        }
    }

    #[test]
    fn what_is_not_given_is_as_target_toml_says() {
        let declared = contract::defaults(include_str!("../target.toml"));
        let given = Given::of(declared.iter().map(|(name, value)| (name.as_str(), value.as_str())));

        assert_eq!(read_buffer(Given::default()), read_buffer(given));
    }
}
