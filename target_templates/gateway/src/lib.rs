//! A gateway: `GET /routes/{name}` looks up the way to a name, a few blocking look-ups one after the other.
//!
//! Each look-up is a job of the blocking pool. Its queue has no limit, so a pool that is too small for a burst refuses
//! nothing: the look-ups wait, and every request waits for all of its own.

mod resolver;

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use kit::{BadValue, Given, Runtimes};
use tokio::task::spawn_blocking;

use crate::resolver::look_up;

/// Serves [`app`] by `runtimes` until it is told to stop.
#[must_use]
pub fn serve(runtimes: Runtimes) -> ExitCode {
    kit::serve(runtimes, app(Given::from_environment()))
}

/// The route: `GET /routes/{name}`.
///
/// # Errors
/// When a setting is given that `target.toml` does not allow.
pub fn app(given: Given) -> Result<Router, BadValue> {
    Ok(Router::new().route("/routes/{name}", get(route)).with_state(Settings::read(given)?))
}

/// The settings of `target.toml`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Settings {
    lookups: u32,
    wait: Duration,
}

impl Settings {
    fn read(mut given: Given) -> Result<Self, BadValue> {
        let lookups = given.integer("lookups", 3, 1..=100)?;
        let lookup_ms = given.number("lookup_ms", 5.0, 0.0..=10_000.0)?;
        given.finish()?;
        Ok(Self { lookups, wait: Duration::from_secs_f64(lookup_ms / 1000.0) })
    }
}

async fn route(State(settings): State<Settings>, Path(name): Path<String>) -> Result<Json<Vec<Ipv4Addr>>, StatusCode> {
    let name: Arc<str> = name.into();
    let mut way = Vec::new();
    for step in 0..settings.lookups {
        let name = Arc::clone(&name);
        let found = spawn_blocking(move || look_up(&name, step, settings.wait)).await;
        way.push(found.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?);
    }
    Ok(Json(way))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn way(lookups: &str) -> Vec<Ipv4Addr> {
        let app = app(Given::of([("lookups", lookups), ("lookup_ms", "0")])).unwrap();
        let answer = app.oneshot(Request::get("/routes/shop").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        text.trim_matches(['[', ']']).split(',').map(|one| one.trim_matches('"').parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_way_has_an_address_for_each_look_up_in_their_order() {
        let long = way("3").await;

        assert_eq!(long.len(), 3);
        assert_eq!(way("1").await, long[..1]);
    }

    #[test]
    fn what_is_not_given_is_as_target_toml_says() {
        let declared = contract::defaults(include_str!("../target.toml"));
        let given = Given::of(declared.iter().map(|(name, value)| (name.as_str(), value.as_str())));

        assert_eq!(Settings::read(Given::default()), Settings::read(given));
    }
}
