//! Kills at any instant.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use lyapunov::{Purpose, Stream};
use rusqlite::{Connection, OpenFlags};

use crate::{
    course::{Ground, Traces, check_whole, instant, resume, status},
    times,
};

/// So often is a run killed before it is left alone.
const LIVES: usize = 5;

#[test]
fn a_run_that_is_killed_at_any_instant_comes_to_the_same_bits() {
    let (ground, kills) = (Ground::new(), times(6, 200));
    let begun = Instant::now();
    let expected = ground.unbroken();
    // The longest that a process lives: as long as the whole run takes.
    let life = begun.elapsed().as_secs_f64();
    let mut stream = Stream::new(21, Purpose::Probe, 0);
    let (mut killed, mut ended) = (0, 0);
    while killed < kills {
        let out = format!("run-{ended}");
        for attempt in 0.. {
            let mut child = ground.attempt(&out).spawn().unwrap();
            if attempt < LIVES && killed < kills {
                thread::sleep(instant(&mut stream, life));
                child.kill().unwrap();
            }
            match status(child.wait_with_output().unwrap()) {
                None => killed += 1,
                Some(code) => {
                    assert_eq!(code, 0);
                    break;
                }
            }
        }
        let run = ground.run(&out).unwrap();
        check_whole(&run);
        assert_eq!(Traces::of(&run), expected, "after {killed} kills");
        ended += 1;
        println!("{killed} kills, {ended} runs came to the same bits");
    }
}

#[test]
fn a_run_that_has_ended_says_so() {
    let ground = Ground::new();
    ground.unbroken();
    let run = ground.run("whole").unwrap();
    let before = Traces::of(&run);
    let output = resume(&run).output().unwrap();
    let message = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && message.contains("has ended already: it completed after 30 steps"), "{message}");
    assert_eq!(Traces::of(&run), before);
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_it_is_used() {
    let ground = Ground::new();
    let expected = ground.unbroken();
    for damaged in [1, 2] {
        let out = format!("damaged-{damaged}");
        let mut child = ground.train(&out).arg("--set").arg("checkpoint.every=4").spawn().unwrap();
        while ground.run(&out).is_none_or(|run| listed(&run).len() < 2) {
            thread::sleep(std::time::Duration::from_millis(20));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let run = ground.run(&out).unwrap();
        for path in listed(&run).iter().take(damaged) {
            let mut bytes = fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        }
        let output = resume(&run).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        let then = if damaged == 1 { "the one before it is used" } else { "the run begins again" };
        assert!(message.contains("its SHA-256 is another one") && message.contains(then), "{message}");
        assert_eq!(Traces::of(&run), expected);
    }
}

/// The checkpoints in the database of a run, newest first.
fn listed(run: &Path) -> Vec<PathBuf> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let Ok(connection) = Connection::open_with_flags(run.join("run.sqlite"), flags) else { return Vec::new() };
    let Ok(mut select) = connection.prepare("SELECT file FROM checkpoints ORDER BY step DESC") else {
        return Vec::new();
    };
    let names = select.query_map([], |row| row.get::<_, String>(0)).unwrap();
    names.map(|name| run.join(name.unwrap())).collect()
}
