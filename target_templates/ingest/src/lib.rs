//! Ingest: `POST /frames` takes the checksum of the next frame, writes the frame to a file, and answers; `GET /frames/first`
//! reads the first frame of the file by `tokio::fs` and answers with its checksum; `GET /status` takes next to nothing.
//!
//! The file stalls now and then. What a stall holds is the question: a worker, and with it everything; the other writes;
//! or only the one write that met it.

mod batch;
mod file;
mod frame;

use std::fs::File;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use kit::{BadValue, Given, Runtimes};
use tokio::task::spawn_blocking;

use crate::batch::Batches;
use crate::file::{Disk, Stalls, TokioDisk};
use crate::frame::{Buffer, Frame, checksum};

/// Serves [`app`] by `runtimes` until it is told to stop.
#[must_use]
pub fn serve(runtimes: Runtimes) -> ExitCode {
    let file = match file::in_memory() {
        Ok(file) => file,
        Err(error) => {
            eprintln!("the file cannot be made: {error}");
            return ExitCode::FAILURE;
        }
    };
    let app = {
        let _inside = runtimes.enter();
        app(Given::from_environment(), file)
    };
    kit::serve(runtimes, app)
}

/// The routes: `POST /frames`, `GET /frames/first`, `GET /status`. The writer of batches is a task of the runtime that is entered.
///
/// # Errors
/// When an option or setting is given that `target.toml` does not allow.
pub fn app(given: Given, file: File) -> Result<Router, BadValue> {
    let settings = Settings::read(given)?;
    let disk = Arc::new(Disk::new(file, settings.stalls));
    let buffer = Arc::new(Buffer::new(settings.buffer_bytes, settings.frame_bytes));
    let writer = settings.way.writer(Arc::clone(&disk));
    let service = Service { buffer, disk, writer, frame_bytes: settings.frame_bytes };
    Ok(Router::new()
        .route("/frames", post(take))
        .route("/frames/first", get(first))
        .route("/status", get(async || "taking frames"))
        .with_state(Arc::new(service)))
}

struct Service {
    buffer: Arc<Buffer>,
    disk: Arc<Disk>,
    writer: Writer,
    frame_bytes: usize,
}

/// The options and settings of `target.toml`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Settings {
    way: Way,
    frame_bytes: usize,
    buffer_bytes: usize,
    stalls: Stalls,
}

/// How a frame is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Sync,
    TokioFs,
    SpawnBlocking,
    Batched,
}

/// What a way needs.
enum Writer {
    Sync(Arc<Disk>),
    TokioFs(TokioDisk),
    SpawnBlocking(Arc<Disk>),
    Batched(Batches),
    /// The system refused a second handle of the file: nothing is written, rather than in another way than asked for.
    Missing,
}

impl Settings {
    fn read(mut given: Given) -> Result<Self, BadValue> {
        let ways = [
            ("sync", Way::Sync),
            ("tokio_fs", Way::TokioFs),
            ("spawn_blocking", Way::SpawnBlocking),
            ("batched", Way::Batched),
        ];
        let way = given.choice("write", ways)?;
        let frame_kib = given.integer("frame_kib", 256, 1..=4096)? as usize;
        let buffer_mib = given.integer("buffer_mib", 64, 8..=256)? as usize;
        let stall_mib = given.integer("stall_mib", 16, 1..=65_536)?;
        let stall_ms = given.number("stall_ms", 50.0, 0.0..=10_000.0)?;
        given.finish()?;
        let stalls =
            Stalls { each_bytes: u64::from(stall_mib) * 1024 * 1024, wait: Duration::from_secs_f64(stall_ms / 1000.0) };
        Ok(Self { way, frame_bytes: frame_kib * 1024, buffer_bytes: buffer_mib * 1024 * 1024, stalls })
    }
}

impl Way {
    fn writer(self, disk: Arc<Disk>) -> Writer {
        match self {
            Self::Sync => Writer::Sync(disk),
            Self::TokioFs => TokioDisk::new(disk).map_or(Writer::Missing, Writer::TokioFs),
            Self::SpawnBlocking => Writer::SpawnBlocking(disk),
            Self::Batched => Writer::Batched(Batches::start(disk)),
        }
    }
}

impl Writer {
    /// Writes a frame and says whether it is written.
    async fn write(&self, frame: Frame) -> bool {
        match self {
            Self::Sync(disk) => disk.write(&frame).is_ok(),
            Self::TokioFs(disk) => disk.write(&frame).await.is_ok(),
            Self::SpawnBlocking(disk) => {
                let disk = Arc::clone(disk);
                spawn_blocking(move || disk.write(&frame)).await.is_ok_and(|written| written.is_ok())
            }
            Self::Batched(batches) => batches.write(frame).await,
            Self::Missing => false,
        }
    }
}

async fn take(State(service): State<Arc<Service>>) -> Result<String, StatusCode> {
    let frame = service.buffer.next();
    let checksum = frame.checksum();
    let is_written = service.writer.write(frame).await;
    is_written.then(|| format!("{checksum:x}")).ok_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Nothing was written yet: 404, as of anything else that is not there.
async fn first(State(service): State<Arc<Service>>) -> Result<String, StatusCode> {
    let frame = service.disk.read_first(service.frame_bytes).await.map_err(|_| StatusCode::NOT_FOUND)?;
    Ok(format!("{:x}", checksum(&frame)))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    const WAYS: [&str; 4] = ["sync", "tokio_fs", "spawn_blocking", "batched"];

    fn small(way: &str) -> Router {
        let given = Given::of([("write", way), ("frame_kib", "1"), ("buffer_mib", "8"), ("stall_ms", "0")]);
        app(given, file::in_memory().unwrap()).unwrap()
    }

    async fn send(app: Router, request: Request<Body>) -> (StatusCode, String) {
        let answer = app.oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_frame_is_answered_with_its_checksum_however_it_is_written() {
        let expected = format!("{:x}", Arc::new(Buffer::new(8 * 1024 * 1024, 1024)).next().checksum());

        for way in WAYS {
            let answer = send(small(way), Request::post("/frames").body(Body::empty()).unwrap()).await;

            assert_eq!(answer, (StatusCode::OK, expected.clone()), "{way}");
        }
    }

    #[tokio::test]
    async fn the_first_frame_has_the_checksum_that_it_was_taken_with() {
        let app = small("sync");
        let read = || send(app.clone(), Request::get("/frames/first").body(Body::empty()).unwrap());

        let before = read().await.0;
        let taken = send(app.clone(), Request::post("/frames").body(Body::empty()).unwrap()).await;

        assert_eq!(before, StatusCode::NOT_FOUND);
        assert_eq!(read().await, taken);
    }

    #[tokio::test]
    async fn frames_that_cannot_be_written_are_a_server_error() {
        for way in WAYS {
            let read_only = File::open("/dev/null").unwrap();
            let app = app(Given::of([("write", way), ("buffer_mib", "8")]), read_only).unwrap();

            let answer = send(app, Request::post("/frames").body(Body::empty()).unwrap()).await;

            assert_eq!(answer.0, StatusCode::INTERNAL_SERVER_ERROR, "{way}");
        }
    }

    #[tokio::test]
    async fn the_light_route_answers() {
        let answer = send(small("sync"), Request::get("/status").body(Body::empty()).unwrap()).await;

        assert_eq!(answer, (StatusCode::OK, "taking frames".to_owned()));
    }

    #[test]
    fn what_is_not_given_is_as_target_toml_says() {
        let declared = contract::defaults(include_str!("../target.toml"));
        let given = Given::of(declared.iter().map(|(name, value)| (name.as_str(), value.as_str())));

        assert_eq!(Settings::read(Given::default()), Settings::read(given));
    }
}
