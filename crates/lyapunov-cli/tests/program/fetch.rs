//! `data fetch` against servers that cut, stall and lie, and against archives that mean harm.

use std::{fs, io::Write, path::Path, thread, time::Duration};

use crate::server::{Server, archive, fetch, hundred, md5, names, records, send, serve, sleep};
use predicates::{prelude::PredicateBooleanExt, str::contains};

/// That the images are there, whole, and nothing else is.
#[track_caller]
fn arrived(folder: &Path, seed: u64) {
    assert_eq!(names(folder), ["cifar100"]);
    let images = folder.join("cifar100");
    assert_eq!(names(&images), ["SHA256SUMS", "test.bin", "train.bin"]);
    assert_eq!(fs::read(images.join("train.bin")).unwrap(), records(100, seed));
    assert_eq!(fs::read(images.join("test.bin")).unwrap(), records(20, seed + 1));
}

/// What is said of a download that fails; the folder of the images is not there.
#[track_caller]
fn failed(folder: &Path, md5: &str, addresses: &[&str]) -> String {
    let output = fetch(folder, md5, addresses).assert().code(1).get_output().clone();
    assert!(output.stdout.is_empty());
    assert!(!folder.join("cifar100").exists() && !folder.join(".cifar100.unpacking").exists());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_good_server_is_asked_once() {
    let (folder, file) = (tempfile::tempdir().unwrap(), hundred(1));
    let server = Server::good(file.clone());
    let message = fetch(folder.path(), &md5(&file), &[&server.address]).assert().success().get_output().clone();
    let message = String::from_utf8(message.stdout).unwrap();
    assert!(
        message.contains("Wrote 100 training images and 20 test images")
            && message.contains(
                "lyapunov train \
        --data"
            )
    );
    arrived(folder.path(), 1);
    // A call that was killed at its very end leaves the archive; the next one clears it away.
    fs::write(folder.path().join(".cifar-100-binary.tar.gz.part"), &file).unwrap();
    let again = fetch(folder.path(), &md5(&file), &[&server.address]);
    { again }.assert().success().stdout(contains("is there already, with 100 training images"));
    assert_eq!(names(folder.path()), ["cifar100"]);
    assert_eq!(server.ranges(), [None]);
    // What is there and is no set of images is not touched.
    let train = folder.path().join("cifar100/train.bin");
    fs::write(&train, "mine").unwrap();
    let refusal = fetch(folder.path(), &md5(&file), &[&server.address]).assert().code(2).get_output().clone();
    assert!(String::from_utf8(refusal.stderr).unwrap().contains("nothing is overwritten"));
    assert_eq!(fs::read(&train).unwrap(), b"mine");
}

#[test]
fn a_connection_that_is_cut_goes_on_where_it_ended() {
    let (folder, file) = (tempfile::tempdir().unwrap(), hundred(2));
    let sum = md5(&file);
    let server = Server::start(move |request, stream| {
        serve(request, stream, &file, "\"one\"", [100_000, 200_000, file.len()][request.number.min(2)]);
    });
    fetch(folder.path(), &sum, &[&server.address]).assert().success();
    arrived(folder.path(), 2);
    assert_eq!(server.ranges(), [None, Some(100_000), Some(200_000)]);
    assert_eq!(server.requests()[1].if_range.as_deref(), Some("\"one\""));
}

#[test]
fn a_server_that_ignores_the_range_gives_the_whole_again() {
    let (folder, file) = (tempfile::tempdir().unwrap(), hundred(3));
    let sum = md5(&file);
    let server = Server::start(move |request, stream| {
        let until = if request.number == 0 { 100_000 } else { file.len() };
        send(stream, "200 OK", &[("Content-Length", file.len().to_string())], &file[..until]);
    });
    fetch(folder.path(), &sum, &[&server.address]).assert().success();
    arrived(folder.path(), 3);
    assert_eq!(server.ranges(), [None, Some(100_000)]);
}

/// An archive that is shorter than that of `hundred`.
fn short(seed: u64) -> Vec<u8> {
    archive(&[("train.bin", &records(50, seed)), ("test.bin", &records(5, seed))])
}

#[test]
fn a_file_that_has_changed_begins_again() {
    let (old, new) = (hundred(4), short(5));
    assert!(new.len() < 250_000);
    // By the book; with a part of the new file under its new name; and with a part that nothing distinguishes from the
    // old.
    for manners in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let (before, after) = (old.clone(), new.clone());
        let server = Server::start(move |request, stream| match (request.number, manners) {
            (0, _) => serve(request, stream, &before, "\"old\"", 250_000),
            (1, 1) => {
                let range = format!("bytes {}-{}/{}", 250_000, before.len() - 1, before.len());
                send(stream, "206 Partial Content", &[("ETag", "\"new\"".to_owned()), ("Content-Range", range)], b"");
                // Nobody waits for more of it.
                sleep(20);
            }
            (1, 2) => {
                let range = format!("bytes {}-{}/{}", 250_000, before.len() - 1, before.len());
                let rest = vec![0; before.len() - 250_000];
                send(stream, "206 Partial Content", &[("ETag", "\"old\"".to_owned()), ("Content-Range", range)], &rest);
            }
            _ => serve(request, stream, &after, "\"new\"", after.len()),
        });
        fetch(folder.path(), &md5(&new), &[&server.address]).assert().success();
        assert_eq!(fs::read(folder.path().join("cifar100/train.bin")).unwrap(), records(50, 5));
        assert_eq!(names(folder.path()), ["cifar100"]);
        let ranges = [None, Some(250_000), None];
        assert_eq!(server.ranges(), ranges[..if manners == 0 { 2 } else { 3 }]);
    }
}

#[test]
fn a_stall_is_given_up_and_the_next_address_goes_on() {
    let (folder, file) = (tempfile::tempdir().unwrap(), hundred(6));
    let (sum, half) = (md5(&file), file.clone());
    let stalls = Server::start(move |request, stream| {
        if request.number == 0 {
            serve(request, stream, &half, "\"one\"", 100_000);
        }
        sleep(20);
    });
    let good = Server::good(file);
    let output = fetch(folder.path(), &sum, &[&stalls.address, &good.address]).assert().success().get_output().clone();
    arrived(folder.path(), 6);
    assert_eq!(good.ranges(), [Some(100_000)]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("says nothing"));
}

#[test]
fn the_checksum_decides_and_not_the_length() {
    let (folder, file) = (tempfile::tempdir().unwrap(), hundred(7));
    let sum = md5(&file);
    let promising = |difference: isize| {
        let file = file.clone();
        Server::start(move |_, stream| {
            let length = file.len().checked_add_signed(difference).unwrap();
            send(stream, "200 OK", &[("Content-Length", length.to_string())], &file);
        })
    };
    let message = failed(folder.path(), &sum, &[&promising(-1000).address]);
    assert!(message.contains("bytes with the MD5") && message.contains(&format!("not {sum}")), "{message}");
    assert!(names(folder.path()).is_empty(), "nothing is kept");
    let message = failed(folder.path(), &sum, &[&promising(8 << 30).address]);
    assert!(message.contains("promises more than 268435456 bytes"), "{message}");
    let endless = Server::start(|_, stream| {
        send(stream, "200 OK", &[], b"\x1f\x8b");
        while stream.write_all(&[0; 1 << 13]).is_ok() {}
    });
    let message = failed(folder.path(), &sum, &[&endless.address]);
    assert!(message.contains("gives more than 268435456 bytes") && names(folder.path()).is_empty(), "{message}");
    fetch(folder.path(), &sum, &[&promising(1000).address]).assert().success();
    arrived(folder.path(), 7);
}

#[test]
fn what_is_not_the_file_is_reported_and_does_not_spoil_what_has_arrived() {
    let (folder, file) = (tempfile::tempdir().unwrap(), hundred(8));
    let (sum, part) = (md5(&file), file.clone());
    let cuts = Server::start(move |request, stream| {
        let answers = [("200 OK", 50_000), ("503 Service Unavailable", 0)];
        let (status, until) = answers[request.number.min(1)];
        send(stream, status, &[("Content-Length", part.len().to_string())], &part[..until]);
    });
    let page = Server::start(|_, stream| send(stream, "200 OK", &[], b"<!DOCTYPE html><html>Please log in</html>"));
    let missing = Server::start(|_, stream| send(stream, "404 Not Found", &[], b"<html></html>"));
    let round = Server::start(|_, stream| send(stream, "302 Found", &[("Location", "/again".to_owned())], b""));
    let nobody = "http://127.0.0.1:9/images.tar.gz";
    let addresses = [&cuts.address, &page.address, &missing.address, &round.address, nobody];
    let message = failed(folder.path(), &sum, &addresses.map(|address| address as &str));
    let expected = [
        "answers 503",
        "gives a web page",
        "answers 404",
        "too many redirects",
        "Connection refused",
        "by other means",
    ];
    for expected in expected {
        assert!(message.contains(expected), "{expected}: {message}");
    }
    let part = fs::metadata(folder.path().join(".cifar-100-binary.tar.gz.part")).unwrap();
    assert_eq!(part.len(), 50_000);
    let good = Server::good(file);
    let target = good.address.clone();
    let elsewhere = Server::start(move |_, stream| send(stream, "301 Moved", &[("Location", target.clone())], b""));
    fetch(folder.path(), &sum, &[&elsewhere.address]).assert().success();
    arrived(folder.path(), 8);
    assert_eq!(good.ranges(), [Some(50_000)]);
}

#[test]
fn a_hostile_archive_with_the_right_checksum_leaves_nothing() {
    let (train, test) = (records(100, 1), records(20, 2));
    let wrong_label = [vec![20], train[1..].to_vec()].concat();
    let (train, test, wrong_label) = (&train[..], &test[..], &wrong_label[..]);
    let cases = [
        ("leads out of it", archive(&[("a/train.bin", train), ("../../escaped.bin", test)])),
        ("train.bin twice", archive(&[("a/train.bin", train), ("b/train.bin", train), ("test.bin", test)])),
        ("it lacks test.bin", archive(&[("train.bin", train)])),
        ("record 0 has coarse label 20", archive(&[("train.bin", wrong_label), ("test.bin", test)])),
    ];
    for (reason, file) in cases {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("deep/data");
        let message = failed(&folder, &md5(&file), &[&Server::good(file.clone()).address]);
        assert!(message.contains(reason), "{reason}: {message}");
        assert!(names(&folder).is_empty() && names(outside.path()) == ["deep"], "{:?}", names(&folder));
    }
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_reported_and_the_same_command_goes_on() {
    let (folder, file) = (tempfile::tempdir().unwrap(), hundred(9));
    let (sum, server) = (md5(&file), Server::good(file));
    // A file may grow to so many blocks of 512 bytes and no further: in the download, then in what is unpacked.
    for blocks in [200, 590] {
        let limited = r#"trap "" XFSZ; ulimit -f "$0"; exec "$@""#;
        let output = crate::server::program_from(
            &["sh", "-c", limited, &blocks.to_string()],
            folder.path(),
            &sum,
            &server.address,
        );
        assert_eq!(output.status.code(), Some(1));
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains("cannot write") && message.contains("needs about 370 MB of room"), "{message}");
        assert!(!folder.path().join("cifar100").exists() && !folder.path().join(".cifar100.unpacking").exists());
    }
    fetch(folder.path(), &sum, &[&server.address]).assert().success();
    arrived(folder.path(), 9);
}

#[test]
fn a_download_that_was_killed_goes_on() {
    let (folder, file) = (tempfile::tempdir().unwrap(), hundred(10));
    let (sum, half) = (md5(&file), file.clone());
    let slow = Server::start(move |request, stream| {
        serve(request, stream, &half, "\"one\"", 150_000);
        sleep(20);
    });
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("lyapunov"))
        .args(["data", "fetch", "cifar100", "--quiet", "--md5", &sum, "--mirror", &slow.address, "--dir"])
        .arg(folder.path())
        .spawn()
        .unwrap();
    let part = folder.path().join(".cifar-100-binary.tar.gz.part");
    while fs::metadata(&part).map_or(0, |metadata| metadata.len()) < 150_000 {
        thread::sleep(Duration::from_millis(5));
    }
    // Two at once would spoil each other.
    let second = fetch(folder.path(), &sum, &[&slow.address]).assert().code(2).get_output().clone();
    assert!(String::from_utf8(second.stderr).unwrap().contains("another download is writing"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!folder.path().join("cifar100").exists());
    // What a killed unpacking leaves is cleared away.
    fs::create_dir(folder.path().join(".cifar100.unpacking")).unwrap();
    fs::write(folder.path().join(".cifar100.unpacking/train.bin"), "half").unwrap();
    let good = Server::good(file);
    fetch(folder.path(), &sum, &[&good.address]).assert().success();
    arrived(folder.path(), 10);
    assert_eq!(good.ranges(), [Some(150_000)]);
}

#[test]
fn without_a_network_the_way_out_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let message = failed(folder.path(), &md5(b"x"), &["http://no-such-host.invalid/"]);
    assert!(message.contains("http://no-such-host.invalid/cifar-100-binary.tar.gz cannot be reached"), "{message}");
    assert!(message.contains("lyapunov train --data cifar-100-binary.tar.gz"), "{message}");
    let output = fetch(folder.path(), "12", &[]).assert().code(2).get_output().clone();
    assert!(String::from_utf8(output.stderr).unwrap().contains("32 hexadecimal digits"));
    let (file, server) = (folder.path().join("file"), Server::good(Vec::new()));
    fs::write(&file, "").unwrap();
    let refusal =
        fetch(&file.join("below"), &md5(b"x"), &[&server.address]).assert().code(1).stderr(contains("cannot write"));
    refusal.stderr(contains("below").and(contains("--dir")));
}
