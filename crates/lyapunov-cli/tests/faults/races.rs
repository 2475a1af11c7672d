//! Several processes that want to go on with one run.

use std::{fs, thread, time::Duration};

use crate::{
    course::{Ground, Traces, resume, send, status},
    times,
};

#[test]
fn of_several_that_resume_a_run_exactly_one_does() {
    let (ground, races) = (Ground::new(), times(3, 100));
    let expected = ground.unbroken();
    let mut won = 0;
    for race in 0..races {
        let out = format!("race-{race}");
        // A run that is long enough for all to arrive while the first is at it.
        let mut child = ground.train(&out).spawn().unwrap();
        while ground.run(&out).is_none_or(|run| !run.join("checkpoint-6.safetensors").is_file()) {
            thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let run = ground.run(&out).unwrap();
        let several: Vec<_> = (0..2 + race % 7).map(|_| resume(&run).spawn().unwrap()).collect();
        let codes: Vec<_> = several.into_iter().map(|racer| status(racer.wait_with_output().unwrap())).collect();
        assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
        assert!(codes.iter().all(|code| matches!(code, Some(0 | 75))), "{codes:?}");
        assert_eq!(Traces::of(&run), expected);
        fs::remove_dir_all(ground.path(&out)).unwrap();
        won += 1;
    }
    println!("{won} races, each won by exactly one");
}

#[test]
fn who_holds_a_run_is_reported() {
    let ground = Ground::new();
    let child = ground.train("held").spawn().unwrap();
    while ground.run("held").is_none_or(|run| !run.join("manifest.json").is_file()) {
        thread::sleep(Duration::from_millis(5));
    }
    let output = resume(&ground.run("held").unwrap()).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains(&format!("is in use by process {}", child.id())), "{message}");
    assert_eq!(status(output), Some(75));
    send("KILL", &child);
    child.wait_with_output().unwrap();
}
