//! `drive JOB`: carries out one window of load and says on its standard output what came of it. Exit code 64 is a job
//! that is none, 1 a machine that does not play along.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

use harness_native::job::{BadJob, Job};
use harness_native::plan::{BadPlan, Plan};
use harness_native::window::{Fault, carry_out};
use rustix::process::{Signal, set_parent_process_death_signal};

const BAD_JOB: u8 = 64;

fn main() -> ExitCode {
    let done = match read() {
        Ok(plan) => carry_out(plan, &mut io::stdout()),
        Err(BadPlan::Unreadable(error)) => Err(error.into()),
        Err(BadPlan::Wrong(fault)) => {
            eprintln!("drive: {fault}");
            return ExitCode::from(BAD_JOB);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => tell(&fault),
    }
}

fn read() -> Result<Plan, BadPlan> {
    let mut arguments = env::args_os().skip(1);
    let (Some(file), None) = (arguments.next(), arguments.next()) else {
        return Err(BadJob("usage: drive JOB".to_owned()).into());
    };
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)?; // never outlive the harness
    Plan::read(Job::parse(&fs::read_to_string(file)?)?)
}

fn tell(fault: &Fault) -> ExitCode {
    let _ = writeln!(io::stdout(), "{fault}"); // the exit code says it too
    ExitCode::FAILURE
}
