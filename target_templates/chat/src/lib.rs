//! A chat by WebSocket: who opens `/rooms/{room}` is in that room; what one says, all there hear.
//!
//! For each message a task waits until the speaker confirms it by the text `got`. Clients that never do are common, and
//! then it shows whether somebody thought of the end of that task: if not, tasks and messages pile up.

mod receipt;

use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use kit::{BadValue, Farewell, Given, Runtimes, Seat, Topics};
use tokio::time::{Instant, interval_at};

use crate::receipt::Receipts;

/// The longest message; a longer one ends its connection.
const LONGEST: usize = 64 * 1024;
/// What a client says when it has its messages.
const GOT: &str = "got";

/// Serves [`app`] by `runtimes` until it is told to stop.
#[must_use]
pub fn serve(runtimes: Runtimes) -> ExitCode {
    kit::serve(runtimes, app(Given::from_environment()))
}

/// The route: the WebSocket `/rooms/{room}`.
///
/// # Errors
/// When an option or setting is given that `target.toml` does not allow.
pub fn app(given: Given) -> Result<Router, BadValue> {
    let chat = Chat { settings: Settings::read(given)?, rooms: Topics::default() };
    Ok(Router::new().route("/rooms/{room}", get(enter)).with_state(chat))
}

#[derive(Clone)]
struct Chat {
    settings: Settings,
    rooms: Topics<Utf8Bytes>,
}

/// The option and the settings of `target.toml`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Settings {
    /// None: a receipt is waited for as long as it takes.
    receipt: Option<Duration>,
    heartbeat: Duration,
}

impl Settings {
    fn read(mut given: Given) -> Result<Self, BadValue> {
        let do_end = given.choice("receipts", [("leaking", false), ("ended", true)])?;
        let receipt_ms = given.number("receipt_ms", 100.0, 1.0..=600_000.0)?;
        let heartbeat_ms = given.number("heartbeat_ms", 10_000.0, 1.0..=600_000.0)?;
        given.finish()?;
        let length = |ms: f64| Duration::from_secs_f64(ms / 1000.0);
        Ok(Self { receipt: do_end.then(|| length(receipt_ms)), heartbeat: length(heartbeat_ms) })
    }
}

async fn enter(State(chat): State<Chat>, Path(room): Path<String>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.max_message_size(LONGEST).on_upgrade(async move |socket| {
        talk(socket, chat.rooms.enter(&room), chat.settings).await;
    })
}

/// One connection from its first message to its end, whoever ends it.
async fn talk(mut socket: WebSocket, mut seat: Seat<Utf8Bytes>, settings: Settings) {
    let mut receipts = Receipts::new(settings.receipt);
    let mut heartbeat = interval_at(Instant::now() + settings.heartbeat, settings.heartbeat);
    let mut is_silent = false;
    let mut farewell = Farewell::default();
    let mut stop = pin!(farewell.due());
    loop {
        let answer = tokio::select! {
            Some(Ok(message)) = socket.recv() => {
                is_silent = false;
                match message {
                    Message::Text(text) if text == GOT => receipts.got(),
                    Message::Text(text) => {
                        receipts.expect(text.clone());
                        seat.say(text);
                    }
                    Message::Close(_) => return,
                    // A pong says that the client is there; binary messages are not part of this chat.
                    Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => (),
                }
                continue;
            }
            Some(text) = seat.hear() => Message::Text(text),
            _ = heartbeat.tick() => {
                if is_silent {
                    return;
                }
                is_silent = true;
                Message::Ping(axum::body::Bytes::new())
            }
            () = &mut stop => {
                let away = CloseFrame { code: close_code::AWAY, reason: Utf8Bytes::default() };
                let _ = socket.send(Message::Close(Some(away))).await;
                return;
            }
        };
        if socket.send(answer).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_room_cannot_be_entered_by_plain_http() {
        let app = app(Given::default()).unwrap();

        let answer = app.oneshot(Request::get("/rooms/kitchen").body(Body::empty()).unwrap()).await.unwrap();

        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn what_is_not_given_is_as_target_toml_says() {
        let declared = contract::defaults(include_str!("../target.toml"));
        let given = Given::of(declared.iter().map(|(name, value)| (name.as_str(), value.as_str())));

        assert_eq!(Settings::read(Given::default()), Settings::read(given));
    }
}
