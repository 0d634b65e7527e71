//! The facts, one function each; a fact's name says what it holds.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{Process, answer, send, wait_until};

/// `EX_USAGE` of sysexits.h.
const USAGE: Option<i32> = Some(64);

/// The target that a fact is about.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Path of the built program.
    pub binary: &'static str,
    /// Text of its `target.toml`.
    pub declaration: &'static str,
}

/// An option or setting as `target.toml` declares it.
struct Declared {
    name: String,
    of: Value,
}

impl Target {
    fn ready(self) -> Process {
        Process::ready(self.binary, &[])
    }

    fn declared(self) -> Vec<Declared> {
        declared(self.declaration)
    }
}

fn parse(declaration: &str) -> Value {
    toml::from_str(declaration).unwrap()
}

fn declared(declaration: &str) -> Vec<Declared> {
    let file = parse(declaration);
    let sections = ["options", "settings"].iter().filter_map(|section| file[section].as_object());
    sections.flatten().map(|(name, of)| Declared { name: name.clone(), of: of.clone() }).collect()
}

/// Name and default of every option and setting in the text of a `target.toml`, as the environment would give them.
#[must_use]
pub fn defaults(declaration: &str) -> Vec<(String, String)> {
    declared(declaration).into_iter().map(|one| (one.name, text(&one.of["default"]))).collect()
}

impl Declared {
    fn accepts(&self, target: Target, value: &str) {
        let process = Process::ready(target.binary, &[(&variable(&self.name), value)]);
        assert_eq!(in_force(&process)["options"], json!({ &self.name: value }));
    }

    fn refuses(&self, target: Target, value: &str) {
        let (code, words) = Process::start(target.binary, &[(&variable(&self.name), value)]).last_words();
        assert_eq!(code, USAGE, "{words}");
        assert!(words.starts_with(&format!("{}={value:?}: must be ", variable(&self.name))), "{words}");
    }
}

fn variable(name: &str) -> String {
    format!("OPT_{}", name.to_uppercase())
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn in_force(process: &Process) -> Value {
    serde_json::from_str(&process.probe("/runtime").unwrap().1).unwrap()
}

/// Name, package and a sentence are there, and every option and setting has a kind, a default and a sentence.
pub fn the_declaration_is_complete(target: &Target) {
    let file = parse(target.declaration);
    for key in ["name", "package", "about"] {
        assert!(file[key].is_string(), "{key}");
    }
    for Declared { name, of } in target.declared() {
        let kind = of["kind"].as_str().unwrap();
        assert!(["choice", "integer", "number", "flag"].contains(&kind), "{name}: {kind}");
        assert!(!of["default"].is_null() && of["about"].is_string(), "{name}");
    }
}

/// What looks inside is in a diagnostic build only, so that nothing that is scored carries it.
pub fn nothing_is_under_debug(target: &Target) {
    let process = target.ready();

    for path in ["/debug/stacks?seconds=0.1", "/debug/tasks"] {
        assert_eq!(process.probe(path).unwrap().0, 404, "{path}");
    }
}

/// With every default written out, the service starts and `/runtime` echoes the very texts.
pub fn every_declared_default_is_accepted_and_told(target: &Target) {
    let defaults = defaults(target.declaration);
    let given: Vec<(String, &str)> = defaults.iter().map(|(name, value)| (variable(name), value.as_str())).collect();
    let variables: Vec<(&str, &str)> = given.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let process = Process::ready(target.binary, &variables);

    let expected = defaults.into_iter().map(|(name, value)| (name, value.into())).collect();

    assert_eq!(in_force(&process)["options"], Value::Object(expected));
}

/// Each word of a choice is accepted, another one is refused with the allowed ones.
pub fn every_choice_is_accepted_and_no_other(target: &Target) {
    for one in target.declared().iter().filter(|one| one.of["kind"].as_str() == Some("choice")) {
        for choice in one.of["choices"].as_array().unwrap() {
            one.accepts(*target, &text(choice));
        }
        one.refuses(*target, "none of them");
    }
}

/// The lowest and highest number are accepted, a step beyond either is refused, and so is no number at all.
pub fn every_bound_is_accepted_and_nothing_beyond(target: &Target) {
    let numbers = |one: &&Declared| ["integer", "number"].map(Some).contains(&one.of["kind"].as_str());
    for one in target.declared().iter().filter(numbers) {
        for (bound, step) in [("low", -1.0), ("high", 1.0)] {
            let value = &one.of[bound];
            one.accepts(*target, &text(value));
            let number = text(value).parse::<f64>().unwrap();
            one.refuses(*target, &(number + step).to_string());
        }
        one.refuses(*target, "many");
    }
}

/// An option that `target.toml` does not declare would be echoed without acting: it ends the service instead.
pub fn an_undeclared_option_is_a_usage_error(target: &Target) {
    let (code, words) = Process::start(target.binary, &[("OPT_NO_SUCH", "1")]).last_words();

    assert_eq!(code, USAGE);
    assert_eq!(words, "OPT_NO_SUCH=\"1\": this target has no such option or setting\n");
}

/// A healthy service takes connections at once.
pub fn the_app_port_listens_once_the_service_is_healthy(target: &Target) {
    let process = target.ready();

    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, process.port)).is_ok());
}

/// `/runtime` tells whose answer it is and what the runtime says about itself.
pub fn what_is_in_force_is_read_back(target: &Target) {
    let process = Process::ready(target.binary, &[("HARNESS_NONCE", "abc")]);

    let told = in_force(&process);

    let workers = std::thread::available_parallelism().unwrap().get();
    assert_eq!(told["workers"], json!(workers));
    assert_eq!(told["flavor"], "multi_thread");
    assert_eq!(told["nonce"], "abc");
    assert_eq!(told["pid"], json!(process.pid()));
    assert_eq!(told["options"], json!({}));
    assert_eq!(told["unstable"], json!(cfg!(tokio_unstable)));
    assert!(told["tokio"].as_str().unwrap().starts_with("1."), "{told}");
}

/// The workers, the main thread and the probe: the probe never starts a thread of its own, and a nonce is optional.
pub fn every_thread_is_accounted_for(target: &Target) {
    let process = target.ready();
    let _ = process.probe("/metrics").unwrap();

    let told = in_force(&process);

    let workers = told["workers"].as_u64().unwrap();
    assert_eq!(told["threads"], json!(workers + 2));
    assert_eq!(told["nonce"], "");
}

/// Requests are counted whether or not a route exists; what the probe is asked is not counted.
pub fn a_request_is_counted_once(target: &Target) {
    let process = target.ready();
    for path in ["/", "/no/such/route", "/"] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n");
        answer(send(process.port, &head).unwrap(), Duration::from_secs(10)).unwrap();
    }

    assert!((process.metric("http_requests_total") - 3.0).abs() < f64::EPSILON);
}

/// Both ports are bound to 127.0.0.1: another address of this very host does not reach them.
pub fn nothing_listens_beyond_loopback(target: &Target) {
    let process = target.ready();
    let another = Ipv4Addr::new(127, 0, 0, 2);

    for port in [process.port, process.admin] {
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        assert!(TcpStream::connect((another, port)).is_err());
    }
}

/// An idle connection must not hold the service: it ends well before its limit.
pub fn sigterm_ends_the_service_although_a_client_stays_connected(target: &Target) {
    let mut process = target.ready();
    let _silent = send(process.port, "").unwrap();
    let kept_alive = send(process.port, "GET / HTTP/1.1\r\nhost: app\r\n\r\n").unwrap();
    wait_until("the request arrived", || process.metric("http_requests_total") > 0.0);

    process.terminate();
    let (status, took) = process.ended();

    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_millis(1500), "{took:?}");
    drop(kept_alive);
}

/// Nothing listens at a port that was not asked for, and nothing is forwarded to one.
pub fn a_port_that_is_missing_or_no_port_is_a_usage_error(target: &Target) {
    let has_upstream = parse(target.declaration)["upstream"].is_object();
    let ports = ["PORT", "ADMIN_PORT"].into_iter().chain(has_upstream.then_some("UPSTREAM_PORT"));
    for variable in ports {
        for value in ["", "0", "65536", "http"] {
            let (code, words) = Process::start(target.binary, &[(variable, value)]).last_words();

            assert_eq!(code, USAGE, "{words}");
            assert_eq!(words, format!("{variable}={value:?}: must be a port number from 1 to 65535\n"));
        }
    }
}

/// A port of somebody else ends the service with the port and the system's reason.
pub fn a_port_that_is_held_is_named(target: &Target) {
    for variable in ["PORT", "ADMIN_PORT"] {
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = holder.local_addr().unwrap().port().to_string();

        let (code, words) = Process::start(target.binary, &[(variable, &port)]).last_words();

        assert_eq!(code, Some(1));
        assert!(words.starts_with(&format!("cannot listen on 127.0.0.1:{port}: ")), "{words}");
    }
}
