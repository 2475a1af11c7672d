//! A disk that is full: files that may not grow beyond a size.

use std::process::Command;

use crate::{
    course::{Ground, Traces, status},
    times,
};

/// The command that trains where no file may have more than so many blocks of 1024 bytes.
fn limited(command: &Command, blocks: usize) -> Command {
    let mut words = vec![command.get_program().to_owned()];
    words.extend(command.get_args().map(ToOwned::to_owned));
    let mut shell = Command::new("bash");
    // Some files are written at the end: the run meets the limit wherever it is.
    // Outside any repository, whose state the manifest would hold.
    shell.current_dir(std::env::temp_dir());
    shell.args(["-c", "ulimit -f $0 && exec \"$@\"", &blocks.to_string()]).args(words);
    shell
}

#[test]
fn a_disk_that_is_full_ends_the_run_with_a_word_and_room_lets_it_go_on() {
    let ground = Ground::new();
    let expected = ground.unbroken();
    let sizes = times(4, 40);
    let (mut stopped, mut done) = (0, 0);
    for i in 0..sizes {
        // From nothing at all to more than any file of this run needs.
        let (out, blocks) = (format!("disk-{i}"), i * 240 / sizes);
        let output = limited(&ground.train(&out), blocks).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = status(output);
        if code == Some(0) {
            done += 1;
        } else {
            stopped += 1;
            assert!(code == Some(1) || code == Some(2), "{code:?} at {blocks} blocks: {message}");
            assert!(message.contains("error:"), "{message}");
        }
        if code != Some(0) {
            assert_eq!(status(ground.attempt(&out).output().unwrap()), Some(0));
        }
        assert_eq!(Traces::of(&ground.run(&out).unwrap()), expected, "at {blocks} blocks");
    }
    println!("{stopped} runs stopped, {done} had room enough, all came to the same bits");
    assert!(stopped > 0);
}
