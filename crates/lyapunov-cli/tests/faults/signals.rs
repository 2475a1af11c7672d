//! Signals that ask a run to leave.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use lyapunov::{Purpose, Stream};

use crate::{
    course::{Ground, Traces, check_whole, instant, resume, send, status},
    times,
};

#[test]
fn an_interrupt_lets_a_run_save_itself_and_it_comes_to_the_same_bits() {
    come_back("INT", 130, 23);
}

#[test]
fn a_request_to_end_lets_a_run_save_itself_and_it_comes_to_the_same_bits() {
    come_back("TERM", 143, 24);
}

#[test]
fn the_end_of_an_allocation_lets_a_run_save_itself_and_it_comes_to_the_same_bits() {
    come_back("USR1", 138, 25);
}

#[test]
fn the_end_of_the_time_lets_a_run_save_itself_and_it_comes_to_the_same_bits() {
    come_back("XCPU", 152, 26);
}

#[test]
fn a_closed_terminal_lets_a_run_save_itself_and_it_comes_to_the_same_bits() {
    // Under nohup the runs inherit that the signal is ignored, and respect it.
    if !hangup_is_ignored() {
        come_back("HUP", 129, 27);
    }
}

/// Whether this process was started so that a closed terminal does not end it: bit 0 of the mask of ignored signals.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// A run that gets this signal leaves with that code, and goes on.
fn come_back(signal: &str, code: i32, seed: u64) {
    let (ground, each) = (Ground::new(), times(1, 50));
    let expected = ground.unbroken();
    let mut stream = Stream::new(seed, Purpose::Probe, 0);
    let mut slowest = Duration::ZERO;
    let (mut sent, mut ended, mut out) = (0, 0, 0);
    while sent < each {
        let name = format!("{signal}-{out}");
        let child = ground.attempt(&name).spawn().unwrap();
        // A signal that comes before the run has begun ends the program as it always did.
        let begins = Instant::now();
        while !is_running(&ground, &name) && begins.elapsed() < Duration::from_mins(1) {
            thread::sleep(Duration::from_millis(2));
        }
        thread::sleep(Duration::from_millis(30) + instant(&mut stream, 0.5));
        send(signal, &child);
        let asked = Instant::now();
        let output = child.wait_with_output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        let found = status(output);
        if found == Some(code) {
            slowest = slowest.max(asked.elapsed());
            assert!(message.contains("lyapunov train --resume"), "{message}");
            assert!(message.contains(&format!("SIG{signal}")), "{message}");
            assert_eq!(outcome(&ground, &name), "interrupted");
            sent += 1;
        } else {
            // It ended before the signal came.
            assert_eq!(found, Some(0), "{message}");
            check(&ground, &name, &expected);
            (out, ended) = (out + 1, ended + 1);
        }
    }
    let name = format!("{signal}-{out}");
    if let Some(run) = ground.run(&name) {
        assert_eq!(status(resume(&run).output().unwrap()), Some(0));
        check(&ground, &name, &expected);
        ended += 1;
    }
    println!("SIG{signal}: {sent} signals, {ended} runs came to the same bits");
    println!("the slowest left after {slowest:?}");
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
}

fn check(ground: &Ground, name: &str, expected: &Traces) {
    let run = ground.run(name).unwrap();
    check_whole(&run);
    assert_eq!(&Traces::of(&run), expected);
}

fn outcome(ground: &Ground, name: &str) -> String {
    let text = ground.run(name).and_then(|run| fs::read(run.join("manifest.json")).ok()).unwrap_or_default();
    let manifest: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    manifest["outcome"].as_str().unwrap_or_default().to_owned()
}

fn is_running(ground: &Ground, name: &str) -> bool {
    matches!(outcome(ground, name).as_str(), "running" | "completed")
        && ground.run(name).is_some_and(|run| run.join("run.sqlite").is_file())
}

#[test]
fn a_second_interrupt_leaves_at_once() {
    let ground = Ground::new();
    let child = ground.train_slowly("slow").spawn().unwrap();
    while !is_running(&ground, "slow") {
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(Duration::from_millis(300));
    send("INT", &child);
    thread::sleep(Duration::from_millis(300));
    let again = Instant::now();
    send("INT", &child);
    let output = child.wait_with_output().unwrap();
    assert!(again.elapsed() < Duration::from_secs(1), "{:?}", again.elapsed());
    assert_eq!(status(output), Some(130));
}

#[test]
fn a_step_that_takes_too_long_is_not_waited_for() {
    let ground = Ground::new();
    let child = ground.train_slowly("slow").spawn().unwrap();
    while !is_running(&ground, "slow") {
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(Duration::from_millis(300));
    let asked = Instant::now();
    send("TERM", &child);
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert_eq!(status(output), Some(143));
    assert!(message.contains("goes on from its last checkpoint"), "{message}");
}
